"""Timers as rows of state, fired by log time (R21).

What must stay true: a timer fires before the record that carries log time past its due moment, in order of (due, kind,
subject), exactly once; and looking whether one is due costs nothing while none is.
"""

from collections.abc import Iterator

from bostream.domain.keys import pack
from bostream.domain.state import Table, Timer

NEVER = 1 << 62
"""A due time after all others."""


class TimerQueue:
    """The timers of one partition: a :class:`bostream.domain.state.Table` that knows when the next one is due."""

    def __init__(self, rows: Table[Timer]) -> None:
        self._rows = rows
        self._next_due: int | None = None

    @property
    def next_due(self) -> int:
        """Due time of the first timer (µs), :data:`NEVER` without one. At most one look into the store."""
        if self._next_due is None:
            self._next_due = next((timer.due for _, timer in self._rows.scan(b"")), NEVER)
        return self._next_due

    def pop_due(self, log_time: int) -> Timer | None:
        """Remove and return the first timer due at or before ``log_time``."""
        if self.next_due > log_time:
            return None
        key, timer = next(self._rows.scan(b""))
        self._rows.delete(key)
        self._next_due = None
        return timer

    def forget(self) -> None:
        """The batch was dropped: look again."""
        self._next_due = None

    # --- what stages see

    def get(self, key: bytes) -> Timer | None:
        """Return the timer of this key."""
        return self._rows.get(key)

    def put(self, key: bytes, value: Timer) -> None:
        """Set a timer; its key must be ``pack(due, kind, *subject)``."""
        if self._next_due is not None and value.due < self._next_due:
            self._next_due = value.due
        self._rows.put(key, value)

    def delete(self, key: bytes) -> None:
        """Remove a timer."""
        timer = self._rows.get(key)
        if timer is not None and timer.due == self._next_due:
            self._next_due = None
        self._rows.delete(key)

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, Timer]]:
        """Yield timers in key order."""
        return self._rows.scan(prefix, start=start, reverse=reverse)


def timer_key(timer: Timer) -> bytes:
    """Return the key under which a timer stands."""
    return pack(timer.due, timer.kind, *timer.subject)
