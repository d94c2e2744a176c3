"""One partition's log: records, transaction markers and aborted data, each occupying an offset.

What must stay true: an offset is used once; a read_committed reader never passes the last stable offset, and its
position moves past everything that it is not shown.
"""

from bisect import bisect_left
from collections.abc import Iterator
from enum import Enum, auto

from bostream.engine.ports import Headers, LogRange, Partition, Record
from bostream.errors import ConfigurationError


class Fate(Enum):
    """How a transaction stands."""

    OPEN = auto()
    COMMITTED = auto()
    ABORTED = auto()


class Tag:
    """What the records of one transaction share: its fate."""

    __slots__ = ("fate",)

    def __init__(self) -> None:
        self.fate = Fate.OPEN


class Entry:
    """What stands at one offset: a record, or a marker (no record)."""

    __slots__ = ("offset", "record", "tag")

    def __init__(self, offset: int, record: Record | None, tag: Tag | None) -> None:
        self.offset = offset
        self.record = record
        self.tag = tag

    @property
    def is_open(self) -> bool:
        """Its transaction has not ended."""
        return self.tag is not None and self.tag.fate is Fate.OPEN

    @property
    def is_committed_record(self) -> bool:
        """A read_committed reader is shown it."""
        return self.record is not None and (self.tag is None or self.tag.fate is Fate.COMMITTED)


class PartitionLog:
    """The log of one partition."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.start = 0
        self.end = 0
        self._entries: list[Entry] = []
        self._open: dict[Tag, int] = {}

    @property
    def range(self) -> LogRange:
        """First offset and end, READ_UNCOMMITTED."""
        return LogRange(self.start, self.end)

    @property
    def last_stable_offset(self) -> int:
        """Where the first open transaction begins, else the end."""
        return min(self._open.values(), default=self.end)

    def append(
        self, key: bytes | None, value: bytes | None, timestamp: int, headers: Headers = (), tag: Tag | None = None
    ) -> int:
        """Append a record and return its offset. ``timestamp`` in µs; as in Kafka, whole milliseconds are kept."""
        offset = self.end
        topic, number = self.partition
        record = Record(topic, number, offset, timestamp // 1000 * 1000, key, value, headers)
        self._add(Entry(offset, record, tag))
        if tag is not None:
            self._open.setdefault(tag, offset)
        return offset

    def end_transaction(self, tag: Tag) -> None:
        """Append the marker of a transaction whose fate has been set."""
        self._add(Entry(self.end, None, tag))
        self._open.pop(tag, None)

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self.end = entry.offset + 1

    def read(self, position: int, records_max: int) -> tuple[list[Record], int]:
        """Return up to ``records_max`` committed records from this offset on, and the position after them.

        Raises:
            ConfigurationError: the offset does not exist (any more).
        """
        if not self.start <= position <= self.end:
            raise ConfigurationError(
                f"{self.partition}: the offset to read from does not exist any more: {position}, the log has "
                f"{self.start} to {self.end}"
            )
        stable = self.last_stable_offset
        records: list[Record] = []
        for entry in self._from(position):
            if entry.offset >= stable:
                break
            if entry.is_committed_record and entry.record is not None:
                if len(records) == records_max:
                    return records, entry.offset
                records.append(entry.record)
        return records, max(position, stable)

    def committed_records(self) -> list[Record]:
        """Return everything that a read_committed reader sees."""
        stable = self.last_stable_offset
        return [e.record for e in self._entries if e.offset < stable and e.is_committed_record and e.record is not None]

    def entries(self) -> list[Entry]:
        """Return what stands in the log, for tests that look inside."""
        return list(self._entries)

    def _from(self, offset: int) -> Iterator[Entry]:
        at = bisect_left(self._entries, offset, key=lambda entry: entry.offset)
        for index in range(at, len(self._entries)):
            yield self._entries[index]

    def delete_before(self, offset: int) -> None:
        """Move the log's start, as retention does."""
        self.start = min(max(self.start, offset), self.end)
        self._entries = [entry for entry in self._entries if entry.offset >= self.start]

    def compact(self, *, before: int | None = None, drop_tombstones: bool = False) -> None:
        """Keep the last committed value of each key; aborted data goes, markers and offsets stay.

        Args:
            before: compact only what stands before this offset; None: up to the last stable offset.
            drop_tombstones: also remove the tombstones, as the cleaner does after ``delete.retention.ms``.
        """
        limit = self.last_stable_offset if before is None else min(before, self.last_stable_offset)
        last: dict[bytes | None, int] = {}
        for entry in self._entries:
            if entry.offset < limit and entry.is_committed_record and entry.record is not None:
                last[entry.record.key] = entry.offset

        def is_kept(entry: Entry) -> bool:
            if entry.offset >= limit or entry.record is None:
                return True
            if not entry.is_committed_record or last[entry.record.key] != entry.offset:
                return False
            return entry.record.value is not None or not drop_tombstones

        self._entries = [entry for entry in self._entries if is_kept(entry)]
