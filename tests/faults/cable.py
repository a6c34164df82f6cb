"""Two network stacks in one process and a cable between them that can be cut, lose packets and take its time.

For programs that tests start by `unshare` in a user and network namespace of their own, in which they are root. A
socket stays in the namespace in which it was made, so the two ends of a connection meet in one program.
"""

import contextlib
import ctypes
import fcntl
import os
import random
import shutil
import struct
import subprocess

import pytest

import grt
from grt.net import FDConn

__all__ = ["UNSHARE", "Netem", "UserSpace", "needs_namespaces", "needs_netem", "needs_veth"]

UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--mount")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # where ip and tc are, for those who are not root
NEAR, FAR = "10.77.0.1", "10.77.0.2"
NEAR6, FAR6 = "fd77::1", "fd77::2"
NEW_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
OPEN_TUN, PACKETS = 0x400454CA, 0x1001  # TUNSETIFF; IFF_TUN | IFF_NO_PI of <linux/if_tun.h>


def can(command: str) -> bool:
    """Whether a shell that is root in its own namespaces can do that."""
    if shutil.which("unshare") is None or shutil.which("ip", path=PATH) is None:
        return False
    environment = {**os.environ, "PATH": PATH}
    return not subprocess.call([*UNSHARE, "sh", "-ec", command], env=environment, stderr=subprocess.DEVNULL)


def needs_namespaces():
    """Skips where there are none, or where a packet cannot be had from user space."""
    if not can("unshare --net true; ip tuntap add dev probe mode tun; exec 3<>/dev/net/tun"):
        pytest.skip("network namespaces with a TUN device cannot be made here")


def needs_veth():
    if not can("ip link add near type veth peer name far"):
        pytest.skip("this system has no virtual Ethernet")


def needs_netem():
    if not can("ip link add near type veth peer name far; tc qdisc add dev near root netem delay 1ms"):
        pytest.skip("this system has no tc netem")


class Stack:
    """A network namespace."""

    def __init__(self, number: int) -> None:
        self.number = number  # of an open descriptor of it

    @contextlib.contextmanager
    def entered(self):
        """What is opened inside is there. Nothing may block meanwhile: it is the thread that enters."""
        before = namespace()
        try:
            enter(self.number)
            yield
        finally:
            enter(before)
            os.close(before)


def namespace() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def enter(number: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(number, NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


def ip(line: str) -> None:
    subprocess.run(line.split(), check=True, env={**os.environ, "PATH": PATH}, timeout=60)


def set_up(name: str, four: str, six: str) -> None:
    ip(f"ip addr add {four}/24 dev {name}")
    ip(f"ip -6 addr add {six}/64 dev {name} nodad")
    ip(f"ip link set {name} up")
    ip("ip link set lo up")


def new_stack() -> Stack:
    before = namespace()
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "unshare")
    made = Stack(namespace())
    enter(before)
    os.close(before)
    return made


class UserSpace:
    """A cable whose packets goroutines carry, so that every system has it, and a test can say which ones are lost."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []  # the packets that came to its ends, lost or not
        self.delay = 0.0  # seconds
        self.loses = lambda packet: False
        self.chance = random.Random(5)
        self.far = new_stack()
        near_end = self.plug("near", NEAR, NEAR6)
        with self.far.entered():
            far_end = self.plug("far", FAR, FAR6)
        self.ends = near_end, far_end
        self.carriers = [grt.go(self.carry, near_end, far_end), grt.go(self.carry, far_end, near_end)]

    def plug(self, name: str, four: str, six: str) -> FDConn:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, OPEN_TUN, struct.pack("16sH22x", name.encode(), PACKETS))
        set_up(name, four, six)
        return FDConn(fd)

    def carry(self, source: FDConn, target: FDConn) -> None:
        for packet in source:
            self.seen.append(packet)
            if self.loses(packet):
                continue
            if self.delay:
                grt.after_func(self.delay, target.try_write, packet)
            else:
                target.try_write(packet)

    def worsen(self, loss: float, delay: float) -> None:
        self.delay = delay
        self.loses = lambda packet: self.chance.random() < loss

    def cut(self) -> None:
        self.loses = lambda packet: True

    def mend(self) -> None:
        self.loses = lambda packet: False

    def close(self) -> None:
        for carrier in self.carriers:
            carrier.cancel()
            carrier.join()
        for end in self.ends:
            end.close()
        os.close(self.far.number)


class Netem:
    """A cable of the kernel's, on which tc's netem drops and delays."""

    def __init__(self) -> None:
        self.far = new_stack()
        ip(f"ip link add near type veth peer name far netns /proc/{os.getpid()}/fd/{self.far.number}")
        set_up("near", NEAR, NEAR6)
        with self.far.entered():
            set_up("far", FAR, FAR6)

    def worsen(self, loss: float, delay: float) -> None:
        ip(f"tc qdisc replace dev near root netem loss {loss * 100}% delay {delay * 1000}ms")
        with self.far.entered():
            ip(f"tc qdisc replace dev far root netem loss {loss * 100}% delay {delay * 1000}ms")

    def close(self) -> None:
        os.close(self.far.number)
