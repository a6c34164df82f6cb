"""Where each channel that crosses is, and who gets it next. It lives in the main program; all messages go through it.

Invariants: a channel is at one VM, its holder, or on its way there. Who waits longest gets it first, if there is
something in it for them.
Threads: any, under crossing's `lock`.
"""

from typing import Any

from grt.vm.crossing import Send, Wants, lock

try:
    import cython
except ImportError:
    from grt._core import pysys as cython
if not cython.compiled:
    from grt.vm.crossing import FETCH, RECEIVE, SEND

__all__ = ["Broker"]

Key = tuple[int, int]


class Route:
    """What is known of a channel."""

    __slots__ = ("capacity", "holder", "key", "refs", "shut", "source", "text", "told", "wants")

    def __init__(self, key: Key, capacity: int, holder: int) -> None:
        self.key = key
        self.capacity = capacity
        self.holder = holder  # the VM where it is, or to which it is on its way
        self.wants: dict[int, Wants] = {}  # of the VMs where it is not, who asked first comes first
        self.told = 0  # what the holder knows of these
        self.refs = {holder: 1}  # the VMs that have it, and how often it was sent to them
        self.source: int | None = None  # the VM from which values came last
        self.shut = False  # whether a VM's end has closed it
        self.text = ""  # why it was closed, if a VM's end did it

    def wanted(self, besides: int) -> Wants:
        """What all but one VM want."""
        found = 0
        for vm, wants in self.wants.items():
            if vm != besides:
                found |= wants
        return found

    def next_holder(self, values: list[Any], offer: Any, closed: bool, passer: int) -> int:
        """Who gets it, when passer has let go of it."""
        for vm in self.wants:  # the others first, in order
            if vm != passer and self.suits(vm, values, offer, closed):
                return vm
        if passer in self.wants and self.suits(passer, values, offer, closed):
            return passer
        if not values and self.source is not None and self.source in self.refs:
            return self.source
        return passer if passer in self.refs else next(iter(self.refs))

    def suits(self, vm: int, values: list[Any], offer: Any, closed: bool) -> bool:
        """Whether vm gets of it what it wants."""
        wants = self.wants[vm]
        if wants & FETCH or closed or (wants & RECEIVE and (values or offer is not None)):
            return True
        if wants & SEND == 0:
            return False
        if self.capacity:
            return len(values) < self.capacity
        return offer is None and self.wanted(vm) & RECEIVE != 0


class Broker:
    """All routes, and how the VMs are reached."""

    __slots__ = ("ports", "routes")

    def __init__(self) -> None:
        self.ports: dict[int, Send] = {}  # takes a message to a VM; called under `lock`
        self.routes: dict[Key, Route] = {}

    def tell(self, vm: int, message: Any) -> None:
        send = self.ports.get(vm)
        if send is not None:
            send(message)

    def refer(self, vm: int, key: Key | None) -> None:
        """A reference is on its way to vm."""
        with lock:
            route = self.routes.get(key) if key is not None else None
            if route is not None:
                route.refs[vm] = route.refs.get(vm, 0) + 1

    def handle(self, vm: int, messages: list[Any]) -> None:
        """Does what messages of vm about channels say."""
        with lock:
            for message in messages:
                self.handle_locked(vm, message)

    def handle_locked(self, vm: int, message: Any) -> None:
        kind, key = message[0], message[1]
        if kind == "made":
            self.routes[key] = Route(key, message[2], vm)
            return
        if kind == "answer":
            _, _, sender, number, news = message
            self.tell(sender, ("answer", key, number, news))
            return
        route: Route | None = self.routes.get(key)
        if route is None:  # it has ended meanwhile
            if kind == "want":
                self.tell(vm, ("ended", key, ""))
        elif kind == "pass":
            _, _, values, offer, closed, wants = message
            self.take(route, vm, values, offer, closed, wants)
        elif kind == "want":
            self.want(route, vm, message[2])
        elif kind == "drop":
            self.drop(route, vm, message[2])
        elif kind == "end":
            self.end(route, route.text)

    def want(self, route: Route, vm: int, wants: Wants) -> None:
        if route.holder == vm:
            return  # it is on its way there
        if wants:
            route.wants[vm] = wants
        else:
            route.wants.pop(vm, None)
        self.remind(route)

    def remind(self, route: Route) -> None:
        """Tells the holder what the others want, if that has changed."""
        wanted = route.wanted(route.holder)
        if wanted != route.told:
            route.told = wanted
            self.tell(route.holder, ("need", route.key, wanted))

    def take(self, route: Route, vm: int, values: list[Any], offer: Any, closed: bool, wants: Wants) -> None:
        if route.holder != vm:
            return
        route.wants.pop(vm, None)
        if wants:
            route.wants[vm] = wants
        if values or offer is not None:
            route.source = vm
        if not route.refs:
            del self.routes[route.key]
            return
        closed = closed or route.shut
        holder = route.next_holder(values, offer, closed, vm)
        route.wants.pop(holder, None)
        route.holder = holder
        route.told = route.wanted(holder)
        self.tell(holder, ("token", route.key, values, offer, closed, route.told, route.source))

    def drop(self, route: Route, vm: int, count: int) -> None:
        left = route.refs.get(vm, 0) - count
        if left > 0:
            route.refs[vm] = left
            return
        route.refs.pop(vm, None)
        route.wants.pop(vm, None)
        if not route.refs:
            del self.routes[route.key]
        elif list(route.refs) == [route.holder]:
            self.tell(route.holder, ("alone", route.key))
        else:
            self.remind(route)

    def end(self, route: Route, text: str) -> None:
        """It is closed, and holds nothing any more."""
        del self.routes[route.key]
        for vm in list(route.refs):
            self.tell(vm, ("ended", route.key, text))

    def bury(self, vm: int, text: str, crashed: bool) -> None:
        """vm has ended: what it has made is closed, and what it had with it is lost; after a crash, all that it knew.

        So nobody waits for one that will never come.
        """
        with lock:
            self.ports.pop(vm, None)
            for route in list(self.routes.values()):
                had = route.refs.pop(vm, None) is not None
                route.wants.pop(vm, None)
                if route.source == vm:
                    route.source = None
                if route.holder == vm:
                    self.end(route, text)
                elif route.key[0] == vm or (had and crashed):
                    route.text, route.shut = text, True
                    for other in list(route.refs):
                        self.tell(other, ("shut", route.key, text))
                elif had:
                    self.remind(route)
