"""VMs: isolated interpreters for all cores, and the channels that reach them."""

from grt.vm.errors import RemoteError, RemoteTraceback
from grt.vm.machine import VM
from grt.vm.pool import Pool
from grt.vm.program import args, task

__all__ = ["VM", "Pool", "RemoteError", "RemoteTraceback", "args", "task"]
