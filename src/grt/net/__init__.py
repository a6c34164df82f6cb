"""Layer 3, connections: `listen`, `dial`, and what they return."""

from grt.net.tcp import Conn, Listener, dial, listen

__all__ = ["Conn", "Listener", "dial", "listen"]
