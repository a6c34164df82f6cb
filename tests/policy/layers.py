"""The layer table: what each module of grt may import of grt. Lowest first: an entry names only modules above it here.

A new module gets its line; a new import that is not in the line is a decision about the design, not about the table.
"""

SYS = "_core.csys _core.pysys"  # the twins: C for the compiled build, Python for the pure one
POLL = "_core.cpoll _core.pypoll"
SWITCH = "_core.cswitch _core.pyswitch"

MAY_IMPORT = {
    # The bottom: what only C can do, with its twins in Python, and what needs nothing.
    "_core": "",
    "_core.csys": "",
    "_core.pysys": "",
    "_core.cpoll": "",
    "_core.pypoll": "",
    "_core.cswitch": "",
    "_core.pyswitch": SYS,
    "_core.errors": "",
    # The core.
    "_core.sock": SYS,
    "_core.poller": f"{SYS} {POLL}",
    "_core.timers": SYS,
    "_core.loop": f"_core.poller _core.timers {SYS} {POLL}",
    "_core.goroutine": f"_core.errors _core.loop _core.timers {SYS} {SWITCH}",
    "_core.go": f"_core.errors _core.goroutine _core.timers {SYS} {SWITCH}",
    "_core.chan": f"_core.errors _core.goroutine _core.timers {SYS}",
    "_core.select": f"_core.chan _core.goroutine _core.timers {SYS}",
    "_core.semaphore": f"_core.goroutine _core.timers {SYS}",
    "_core.sched": f"_core.errors _core.loop _core.goroutine {SYS} {SWITCH}",
    "_core.procs": f"_core.goroutine _core.sched {SYS}",
    "_core.ticker": f"_core.chan _core.go _core.goroutine _core.timers {SYS} {SWITCH}",
    "_core.readiness": f"_core.loop _core.goroutine _core.timers {SYS} {POLL}",
    "_core.netfd": f"_core.errors _core.goroutine _core.readiness _core.timers {SYS}",
    "_core.stream": f"_core.errors _core.goroutine _core.netfd _core.readiness {SYS}",
    # Layer 1, the system.
    "address": "",
    "version": "_core.timers",
    "poll": "_core.poller _core.pypoll",
    "sock": "_core.sock",
    # Layer 2, the event loop.
    "loop": "address poll sock _core.errors _core.loop",
    # What a program is doing.
    "debug.stack": "_core.chan _core.goroutine _core.procs _core.sched _core.timers",
    "debug.silence": "debug.stack _core.errors _core.goroutine _core.netfd _core.procs _core.readiness _core.sched",
    "debug.stall": "debug.silence debug.stack _core.goroutine _core.procs _core.sched",
    "debug.leaks": "_core.goroutine _core.netfd _core.procs",
    "debug.quit": "debug.stack _core.goroutine _core.sched",
    "debug": "debug.leaks debug.quit debug.silence debug.stack debug.stall _core.errors",
    # Layer 3, goroutines.
    "fork": "_core.errors _core.goroutine _core.procs _core.readiness _core.sched",
    "parallel": "debug.silence _core.errors _core.goroutine _core.procs _core.sched",
    "goroutine": "debug.leaks debug.quit fork parallel _core.errors _core.go _core.goroutine _core.procs _core.sched",
    "sync.barrier": "_core.semaphore _core.timers",
    "sync.cond": "_core.errors _core.go _core.semaphore _core.timers",
    "sync.event": "_core.semaphore _core.timers",
    "sync.once": "_core.errors _core.go _core.goroutine _core.semaphore",
    "sync.rwmutex": "_core.semaphore _core.timers",
    "sync.waitgroup": "_core.go _core.goroutine _core.semaphore _core.timers",
    "sync": "sync.barrier sync.cond sync.event sync.once sync.rwmutex sync.waitgroup _core.semaphore",
    "offload": "debug.silence _core.errors _core.goroutine _core.semaphore _core.timers",
    "executor": "sync _core.chan _core.errors _core.go _core.goroutine _core.procs",
    "testing.bubble": "debug.silence offload _core.errors _core.goroutine _core.sched _core.semaphore _core.timers",
    "testing": "testing.bubble",
    "scope": "_core.go _core.goroutine _core.timers",
    "groups": "scope _core.errors _core.go _core.goroutine _core.semaphore",
    "context": "scope _core.chan _core.errors _core.go _core.goroutine _core.timers",
    "signal": "debug.silence goroutine _core.chan _core.errors _core.goroutine",
    "net.endpoint": "_core.netfd",
    "net.conn": "address net.endpoint sock _core.go _core.netfd _core.stream",
    "net.listener": "address net.conn net.endpoint _core.errors",
    "net.memory": "net.conn poll _core.stream",
    "net.resolver": "offload scope sync _core.semaphore",
    "net.tcp": "address groups net.conn net.listener sock _core.chan",
    "net.unix": "net.conn net.listener _core.go _core.timers",
    "net.sealed": f"_core.semaphore _core.stream {SYS}",
    "net.tls": "net.conn net.listener net.sealed scope _core.errors _core.go _core.timers",
    "net.packet": "address net.endpoint net.resolver net.unix _core.errors _core.go",
    "net.stdio": "net.conn _core.stream",
    "net.networks": "address net.conn net.listener net.resolver net.tcp net.tls net.unix scope",
    "net.inherited": "net.packet net.tcp net.unix sock",
    "vm.errors": "",
    "vm.parcel": "net.tcp net.unix _core.chan _core.goroutine",
    "vm.crossing": f"vm.parcel _core.chan _core.errors _core.go _core.goroutine _core.ticker {SYS}",
    "vm.broker": f"vm.crossing {SYS}",
    "vm.wire": f"net.unix vm.crossing vm.parcel _core.chan _core.errors _core.netfd _core.semaphore {SYS}",
    "vm.relief": "vm.crossing vm.wire _core.errors _core.goroutine",
    "vm.guest": "debug.stall goroutine vm.crossing vm.errors vm.parcel vm.relief vm.wire "
    "_core.chan _core.go _core.goroutine",
    "vm.machine": "offload scope vm.broker vm.crossing vm.errors vm.guest vm.parcel vm.relief vm.wire "
    "_core.chan _core.errors _core.go _core.goroutine",
    "vm.pool": "vm.machine _core.errors _core.goroutine _core.semaphore",
    "vm.program": "vm.errors vm.machine _core.go _core.goroutine",
    "vm.workers": "scope vm.machine _core.chan _core.errors _core.go _core.goroutine _core.semaphore _core.timers",
    "vm": "vm.errors vm.machine vm.pool vm.program",
    "net.server": "address net.conn net.networks net.listener net.tls signal sync vm.workers "
    "_core.chan _core.errors _core.go _core.goroutine _core.select _core.semaphore _core.timers",
    "net": "net.conn net.inherited net.listener net.memory net.networks net.packet net.resolver net.server net.stdio "
    "net.tcp net.tls net.unix",
    "files": "offload _core.semaphore",
    "subprocess": "net.conn net.stdio offload scope _core.errors _core.go _core.goroutine _core.netfd",
    # The top.
    "grt": "context debug executor files goroutine groups net offload parallel scope signal subprocess testing sync "
    "version vm "
    "_core.chan _core.errors _core.go _core.goroutine _core.select _core.ticker",
    "testing.plugin": "grt debug.stack testing.bubble _core.procs",
    "repl": "grt loop poll sock _core.goroutine",
    "__main__": "grt repl",
}

# Doors: what only the named modules may use, because it is their business.
DOORS = {
    "greenlet": "_core.pyswitch",
    "select": "_core.pypoll",
    "selectors": "",
    "ssl": "net.tls",
    "threading.Thread": "debug.stall offload parallel vm.relief",
}

# Modules tested through the one that stands on them.
TESTED_BY = {
    "_core.readiness": "_core.netfd",
    "net.conn": "net.tcp",
    "net.sealed": "net.tls",
    "net.endpoint": "net.tcp",
    "net.listener": "net.tcp",
    "net.networks": "net.dial",
    "vm.errors": "vm.machine",
    "vm.guest": "vm.machine",
    "vm.relief": "vm.crossing",
    "vm.workers": "net.server",
    "_core.pysys": "_core.sock",
    "_core.pypoll": "_core.poller",
    "_core.pyswitch": "_core.sched",
}

FILE_LINES = 500
FUNCTION_LINES = 60
# Of code in the core's .py files, without blanks, comments, docstrings, the twins of the C and their imports. It was
# 2500 until reading up to a mark and deadlines of descriptors came in, which only there are fast enough.
# Several Procs that share their work came in after that.
# So did channels that cross to other processes, which have to hold still while they are moved.
# The last ten refuse what would be lost: async functions, and bytes for a buffer that cannot be changed.
CORE_LINES = 3210
CORE_MODULES = 17
FRAMES_TO_SYSTEM_CALL = 2  # Python frames between the caller of conn.read and the recv system call, in the pure build
FRAMES_TO_SCHEDULER = 3  # and those between it and Proc.schedule

# Words with another meaning in this field, or none: see STYLE.md for those we use.
NO_IDENTIFIERS = {"task", "fiber", "hub", "reactor", "kernel"}
BUT_FOR = {"vm": {"task"}, "vm.program": {"task"}}  # grt.vm.task: a public name that is older than these rules
NO_MODULES = {"utils", "common", "helpers", "misc", "base"}
