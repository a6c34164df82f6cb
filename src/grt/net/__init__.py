"""Layer 3, the network: `listen`, `dial`, and what they return."""

from grt.net.conn import Conn
from grt.net.inherited import inherited_listeners
from grt.net.listener import Listener
from grt.net.memory import PipeConn, pipe
from grt.net.networks import dial, listen
from grt.net.packet import PacketConn, UDPConn, UnixPacketConn, dial_packet, listen_packet
from grt.net.resolver import lookup
from grt.net.server import Server
from grt.net.stdio import FDConn, os_pipe
from grt.net.tcp import TCPConn, TCPListener
from grt.net.tls import TLSConn, start_tls
from grt.net.unix import Credentials, UnixConn, UnixListener

__all__ = [
    "Conn",
    "Credentials",
    "FDConn",
    "Listener",
    "PacketConn",
    "PipeConn",
    "Server",
    "TCPConn",
    "TCPListener",
    "TLSConn",
    "UDPConn",
    "UnixConn",
    "UnixListener",
    "UnixPacketConn",
    "dial",
    "dial_packet",
    "inherited_listeners",
    "listen",
    "listen_packet",
    "lookup",
    "os_pipe",
    "pipe",
    "start_tls",
]
