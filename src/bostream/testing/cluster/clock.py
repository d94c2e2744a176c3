"""Time that moves only when it is told to.

What must stay true: nothing here reads a real clock, so a run with the same calls has the same times.
"""

from math import ceil

_MICROSECONDS = 1_000_000

EPOCH = 1_767_225_600 * _MICROSECONDS
"""Where virtual time begins: 2026-01-01, µs since the Unix epoch."""


class VirtualClock:
    """A :class:`bostream.engine.ports.Clock`; a fake's wait that ends without a result moves it."""

    def __init__(self, start: int = EPOCH) -> None:
        self._start = start
        self._elapsed = 0

    def now(self) -> int:
        """Return µs since the epoch."""
        return self._start + self._elapsed

    def monotonic_s(self) -> float:
        """Return seconds since the clock was made."""
        return self._elapsed / _MICROSECONDS

    def advance(self, seconds: float) -> None:
        """Let time pass; a wait that is too short to be counted is a microsecond, so that no waiter waits for ever."""
        self._elapsed += max(0, ceil(seconds * _MICROSECONDS))
