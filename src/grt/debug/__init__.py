"""What a program of goroutines is doing: every stack, deadlocks, goroutines that keep their thread, leaks."""

from grt._core.errors import Deadlock
from grt.debug.leaks import report_leaks
from grt.debug.quit import sigquit
from grt.debug.silence import deadlock
from grt.debug.stack import Stack, dump, stacks
from grt.debug.stall import stall_watch

__all__ = ["Deadlock", "Stack", "deadlock", "dump", "report_leaks", "sigquit", "stacks", "stall_watch"]
