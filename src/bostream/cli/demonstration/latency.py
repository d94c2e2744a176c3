"""Allocation latency as a consumer sees it: from the timestamp of the input record to the committed allocation.

What must stay true: a sample is the moment at which a committed ALLOCATED event was handed to the observing consumer,
minus the timestamp of the public input record that caused it (its producer's clock, on the same machine here). Both
records are matched by the event id, whichever is read first. Whatever cannot be matched is counted, never guessed.
"""

from collections import Counter, deque
from typing import Final

import msgspec

WINDOW_S: Final = 10
IDS_MAX: Final = 400_000
"""Event ids remembered on either side; the oldest are forgotten, and what they caused is not measured."""

_EXACT_BELOW_MS: Final = 1_000


class Percentiles(msgspec.Struct, frozen=True):
    """Milliseconds; exact below one second, to three digits above. None: no sample."""

    samples: int
    p50: int | None
    p90: int | None
    p99: int | None
    max: int | None


class LatencyMeter:
    """Matches inputs and allocations; keeps distributions, not samples.

    Attributes:
        left_out: allocations caused by records from before the measuring began.
        unmatched: allocations whose cause was forgotten before they came.
    """

    def __init__(self, ids_max: int = IDS_MAX) -> None:
        self.left_out = 0
        self.unmatched = 0
        self._ids_max = ids_max
        self._from_ms: int | None = None
        self._sent_ms: dict[str, int] = {}
        self._early: dict[str, list[int]] = {}
        self._all: Counter[int] = Counter()
        self._seconds: deque[tuple[int, Counter[int]]] = deque(maxlen=WINDOW_S + 1)

    @property
    def is_measuring(self) -> bool:
        """Whether :meth:`measure_from` was called."""
        return self._from_ms is not None

    def measure_from(self, moment_ms: int) -> None:
        """Measure what is caused by records with this timestamp or a later one."""
        self._from_ms = moment_ms

    def sent(self, event_id: str, timestamp_ms: int) -> None:
        """Take note of an input record; of several copies the first counts."""
        if event_id in self._sent_ms:
            return
        self._sent_ms[event_id] = timestamp_ms
        for visible_ms in self._early.pop(event_id, ()):
            self._measure(timestamp_ms, visible_ms)
        if len(self._sent_ms) > self._ids_max:
            del self._sent_ms[next(iter(self._sent_ms))]

    def allocated(self, cause_event_id: str, visible_ms: int) -> None:
        """Take note of an allocation that became visible now."""
        timestamp_ms = self._sent_ms.get(cause_event_id)
        if timestamp_ms is not None:
            self._measure(timestamp_ms, visible_ms)
            return
        # The observer reads partitions in any order, so the cause may still come.
        self._early.setdefault(cause_event_id, []).append(visible_ms)
        if len(self._early) > self._ids_max:
            self.unmatched += len(self._early.pop(next(iter(self._early))))

    def finish(self) -> None:
        """No further input comes: what waits for its cause stays unmatched."""
        self.unmatched += sum(map(len, self._early.values()))
        self._early.clear()

    def overall(self) -> Percentiles:
        """Return the distribution since the measuring began."""
        return _percentiles(self._all)

    def recent(self, now_ms: int) -> Percentiles:
        """Return the distribution of the last ten seconds."""
        first = now_ms // 1000 - WINDOW_S
        window: Counter[int] = Counter()
        for second, counts in self._seconds:
            if second > first:
                window.update(counts)
        return _percentiles(window)

    def _measure(self, timestamp_ms: int, visible_ms: int) -> None:
        if self._from_ms is None or timestamp_ms < self._from_ms:
            self.left_out += 1
            return
        latency = _rounded(max(0, visible_ms - timestamp_ms))
        self._all[latency] += 1
        second = visible_ms // 1000
        if not self._seconds or self._seconds[-1][0] < second:
            self._seconds.append((second, Counter()))
        self._seconds[-1][1][latency] += 1


def _rounded(milliseconds: int) -> int:
    step = 1
    while milliseconds // step >= _EXACT_BELOW_MS:
        step *= 10
    return milliseconds // step * step


def _percentiles(counts: Counter[int]) -> Percentiles:
    total = counts.total()
    wanted = {share: -(-total * share // 100) for share in (50, 90, 99, 100)}
    found: dict[int, int] = {}
    passed = 0
    for latency in sorted(counts):
        passed += counts[latency]
        for share, rank in wanted.items():
            if share not in found and passed >= rank:
                found[share] = latency
    return Percentiles(total, found.get(50), found.get(90), found.get(99), found.get(100))
