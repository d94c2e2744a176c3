"""The machine's clock: the only place that reads one. What must stay true: its readings never reach a rule."""

import time

_NANOSECONDS_PER_MICROSECOND = 1000


class SystemClock:
    """The :class:`bostream.engine.ports.Clock` of a worker."""

    def now(self) -> int:
        """Return µs since the epoch, UTC."""
        return time.time_ns() // _NANOSECONDS_PER_MICROSECOND

    def monotonic_s(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        return time.monotonic()
