"""What goes wrong in a VM, as the main program sees it."""

__all__ = ["RemoteError", "RemoteTraceback"]


class RemoteError(Exception):
    """What was raised in a VM and cannot be sent: its type and message."""


class RemoteTraceback(Exception):
    """The cause of an exception that comes from a VM: the traceback there, as text."""

    def __init__(self, vm: object, text: str) -> None:
        super().__init__(f"in {vm}:\n\n{text}")
