"""What the demonstration knows: everything read back from the topics, added up.

What must stay true: pure bookkeeping over records; it asks no clock and no broker, and its only sources are the public
topics and their dead letters. One lock makes it safe to take records in one thread and to look at it from another.
"""

import threading
from collections import Counter, deque
from typing import Final, NamedTuple

import msgspec

from bostream.cli.demonstration.latency import LatencyMeter, Percentiles
from bostream.contract.codec import RecordReader
from bostream.contract.deadletter import DEAD_LETTER_SUFFIX, REASON_HEADER
from bostream.contract.records import (
    AllocationEvent,
    AllocationType,
    BackorderLine,
    Notification,
    NotificationType,
)
from bostream.contract.schemas import Schemas
from bostream.contract.topics import public_topic
from bostream.engine.ports import Record
from bostream.stages.intake import INPUT_TOPICS

EVENT_ID_HEADER: Final = "ce_id"
"""Header by which the demonstration's producer names the event id, so that nobody has to decode inputs for it."""
OBSERVED_OUTPUTS: Final = ("allocations", "backorder-lines", "notifications")
NOTICES_KEPT: Final = 50
TOP_SKUS: Final = 10

_MICROSECONDS_PER_MS: Final = 1_000
_TIMER_CAUSES: Final = "timer/"


class Notice(NamedTuple):
    """One notification for the table."""

    type: NotificationType
    message: str


class SkuBacklog(NamedTuple):
    """What waits of one SKU."""

    sku: str
    units: int
    lines: int


class Oldest(NamedTuple):
    """The order that has waited longest by when it was accepted (µs)."""

    order_id: str
    accepted_at: int


class Backlog(msgspec.Struct, frozen=True):
    """What waits now, by ``backorder-lines``.

    Attributes:
        units, lines: that wait.
        promised_lines: of these, with an ETA.
        open_lines: lines that are not closed, waiting or not.
        oldest: None when nothing waits.
        top: SKUs with most waiting units.
    """

    units: int
    lines: int
    promised_lines: int
    open_lines: int
    oldest: Oldest | None
    top: tuple[SkuBacklog, ...]


class Observed(msgspec.Struct, frozen=True):
    """A copy of everything known at one moment.

    Attributes:
        inputs: records by topic without prefix.
        allocations: events by type.
        units_allocated: units of all ALLOCATED events.
        notices: by type.
        last_notices: newest first.
        dead_letters: by reason.
        backlog: what waits.
        latency: since the measuring began.
        recent_latency: of the last ten seconds.
        latency_left_out, latency_unmatched: see :class:`LatencyMeter`.
    """

    inputs: dict[str, int]
    allocations: dict[str, int]
    units_allocated: int
    notices: dict[str, int]
    last_notices: tuple[Notice, ...]
    dead_letters: dict[str, int]
    backlog: Backlog
    latency: Percentiles
    recent_latency: Percentiles
    latency_left_out: int
    latency_unmatched: int


class Board:
    """Takes records, in offset order within each partition.

    Args:
        schemas: of the public topics.
        prefix: what every topic's name begins with.
    """

    def __init__(self, schemas: Schemas, prefix: str) -> None:
        self._lock = threading.Lock()
        self._inputs = {public_topic(name, prefix): name for name in INPUT_TOPICS}
        self._outputs = {public_topic(name, prefix): name for name in OBSERVED_OUTPUTS}
        self._readers = {name: RecordReader(name, schemas) for name in OBSERVED_OUTPUTS}
        self._meter = LatencyMeter()
        self._input_counts: Counter[str] = Counter()
        self._allocation_counts: Counter[str] = Counter()
        self._units_allocated = 0
        self._notice_counts: Counter[str] = Counter()
        self._last_notices: deque[Notice] = deque(maxlen=NOTICES_KEPT)
        self._letter_counts: Counter[str] = Counter()
        self._waiting = _Waiting()

    @property
    def topics(self) -> tuple[str, ...]:
        """Full names of the topics to read."""
        return (*self._inputs, *self._outputs, *(topic + DEAD_LETTER_SUFFIX for topic in self._inputs))

    def measure_from(self, moment_us: int) -> None:
        """Begin to measure latency; once."""
        with self._lock:
            if not self._meter.is_measuring:
                self._meter.measure_from(moment_us // _MICROSECONDS_PER_MS)

    def take(self, records: list[Record], visible_us: int) -> None:
        """Take records that became visible at this moment (µs)."""
        visible_ms = visible_us // _MICROSECONDS_PER_MS
        with self._lock:
            for record in records:
                self._take(record, visible_ms)

    def finish(self) -> None:
        """Everything was read."""
        with self._lock:
            self._meter.finish()

    def look(self, now_us: int) -> Observed:
        """Return everything as it is now."""
        with self._lock:
            return Observed(
                inputs=dict(self._input_counts),
                allocations=dict(self._allocation_counts),
                units_allocated=self._units_allocated,
                notices=dict(self._notice_counts),
                last_notices=tuple(reversed(self._last_notices)),
                dead_letters=dict(self._letter_counts),
                backlog=self._waiting.sum_up(),
                latency=self._meter.overall(),
                recent_latency=self._meter.recent(now_us // _MICROSECONDS_PER_MS),
                latency_left_out=self._meter.left_out,
                latency_unmatched=self._meter.unmatched,
            )

    def _take(self, record: Record, visible_ms: int) -> None:
        if record.topic in self._inputs:
            self._input_counts[self._inputs[record.topic]] += 1
            event_id = _header(record, EVENT_ID_HEADER)
            if event_id:
                self._meter.sent(event_id, record.timestamp // _MICROSECONDS_PER_MS)
        elif record.topic in self._outputs:
            self._take_output(self._outputs[record.topic], record, visible_ms)
        else:
            self._letter_counts[_header(record, REASON_HEADER) or "UNKNOWN"] += 1

    def _take_output(self, name: str, record: Record, visible_ms: int) -> None:
        if record.value is None:
            self._waiting.close(record.key or b"")
            return
        value = self._readers[name].read(record.value)
        if isinstance(value, AllocationEvent):
            self._allocation_counts[value.type] += 1
            if value.type is AllocationType.ALLOCATED:
                self._units_allocated += value.quantity
                if not value.cause_type.startswith(_TIMER_CAUSES):
                    self._meter.allocated(value.cause_event_id, visible_ms)
        elif isinstance(value, BackorderLine):
            self._waiting.put(record.key or b"", value)
        elif isinstance(value, Notification):
            self._notice_counts[value.type] += 1
            self._last_notices.append(Notice(value.type, value.message))


class _OpenLine(NamedTuple):
    sku: str
    order_id: str
    accepted_at: int
    waiting: int
    is_promised: bool


class _Waiting:
    """The open lines by key, and their sums."""

    def __init__(self) -> None:
        self._open: dict[bytes, _OpenLine] = {}
        self._waiting: dict[bytes, _OpenLine] = {}
        self._units: Counter[str] = Counter()
        self._lines: Counter[str] = Counter()

    def put(self, key: bytes, line: BackorderLine) -> None:
        self.close(key)
        kept = _OpenLine(line.sku, line.order_id, line.accepted_at, line.waiting, line.eta is not None)
        self._open[key] = kept
        if line.waiting:
            self._waiting[key] = kept
            self._units[line.sku] += line.waiting
            self._lines[line.sku] += 1

    def close(self, key: bytes) -> None:
        self._open.pop(key, None)
        line = self._waiting.pop(key, None)
        if line is not None:
            self._units[line.sku] -= line.waiting
            self._lines[line.sku] -= 1
            if not self._lines[line.sku]:
                del self._units[line.sku], self._lines[line.sku]

    def sum_up(self) -> Backlog:
        lines = self._waiting.values()
        oldest = min(lines, key=lambda line: line.accepted_at, default=None)
        return Backlog(
            units=self._units.total(),
            lines=len(lines),
            promised_lines=sum(line.is_promised for line in lines),
            open_lines=len(self._open),
            oldest=None if oldest is None else Oldest(oldest.order_id, oldest.accepted_at),
            top=tuple(SkuBacklog(sku, units, self._lines[sku]) for sku, units in self._units.most_common(TOP_SKUS)),
        )


def _header(record: Record, name: str) -> str:
    for header, value in record.headers:
        if header == name:
            return (value or b"").decode(errors="replace")
    return ""
