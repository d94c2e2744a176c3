"""What can go wrong at a port call, and the processes to which it happens.

What must stay true: a fault decides two things apart, whether the call took effect and what the caller is told.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple


class SimulatedCrash(BaseException):
    """The process dies here. Not an Exception, so that no handler in between keeps it."""


class Fault(Enum):
    """What a hook lets happen to a call. A hook may also raise: that error reaches the caller, without effect.

    Calls that only change the client (pause, seek …) ignore faults; a ``fetch`` or ``read`` that times out is empty.
    """

    LOST = auto()
    """It had no effect, and timed out."""
    DONE = auto()
    """It took effect, and timed out: the answer was lost."""
    LATE = auto()
    """It timed out, and the request is still under way: the end of a transaction takes effect at ``deliver_late``."""
    RETRIED = auto()
    """It was answered after a retry: the producer is tainted, and a second end of the transaction is under way."""


class Call(NamedTuple):
    """One call of a port: which process makes it, and its name, as in ``producer.commit``."""

    process: str
    name: str


BeforeCall = Callable[[Call], Fault | None]
"""A hook run before every call of a port."""


class Process:
    """One life of a worker: killed, it never acts again; frozen, it only stops heartbeating."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.is_frozen = False

    @property
    def is_running(self) -> bool:
        """It heartbeats."""
        return self.is_alive and not self.is_frozen
