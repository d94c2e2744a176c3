"""Stores in memory, for tests of everything above the store.

What must stay true: they pass the same contract suite as RocksDB, and where they differ they are stricter: a scan that
goes on after a write is refused, where RocksDB would show the rows of before.
"""

from collections.abc import Iterable, Iterator

from sortedcontainers import SortedDict

from bostream.engine.ports import Partition
from bostream.engine.ranges import scan_bounds
from bostream.errors import CorruptStateError, InvariantError


class MemoryStore:
    """A :class:`bostream.engine.ports.Store` on a sorted dictionary.

    Args:
        rows: where the rows lie; they outlive the store, as a directory does.
    """

    def __init__(self, rows: "SortedDict[bytes, bytes] | None" = None) -> None:
        self._rows: SortedDict[bytes, bytes] = SortedDict() if rows is None else rows
        self._writes = 0
        self._is_open = True

    def get(self, key: bytes) -> bytes | None:
        """Return the value or None."""
        self._check_open()
        value: bytes | None = self._rows.get(key)
        return value

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield pairs in key order; see :meth:`bostream.domain.state.Table.scan`."""
        self._check_open()
        low, high = scan_bounds(prefix, start, reverse=reverse)
        if high is not None and low >= high:
            return
        writes = self._writes
        for key in self._rows.irange(low, high, inclusive=(True, False), reverse=reverse):
            yield key, self._rows[key]
            self._check_open()
            if self._writes != writes:
                raise InvariantError("a scan of a store went on after a write")

    def write(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Apply all changes, or none when taking them fails; of several for one key the last counts."""
        self._check_open()
        batch = list(changes)
        self._writes += 1
        for key, value in batch:
            if value is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = value

    def close(self) -> None:
        """Close it; closing twice is no error."""
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self._is_open

    def rows(self) -> dict[bytes, bytes]:
        """Return a copy of everything, in key order, to compare two stores."""
        return dict(self._rows)

    def _check_open(self) -> None:
        if not self._is_open:
            raise InvariantError("a closed store was used")


class MemoryStoreFactory:
    """A :class:`bostream.engine.ports.StoreFactory` in memory; one instance is one disk."""

    def __init__(self) -> None:
        self._disk: dict[Partition, SortedDict[bytes, bytes]] = {}
        self._stores: dict[Partition, MemoryStore] = {}
        self._damaged: set[Partition] = set()

    def open(self, partition: Partition) -> MemoryStore:
        """Open, or create, the store of a partition.

        Raises:
            CorruptStateError: it was damaged and not yet wiped.
            InvariantError: it is open.
        """
        self._check_closed(partition)
        if partition in self._damaged:
            raise CorruptStateError(f"the store of {partition} was damaged by the test")
        store = MemoryStore(self._disk.setdefault(partition, SortedDict()))
        self._stores[partition] = store
        return store

    def wipe(self, partition: Partition) -> None:
        """Remove the store of a partition for good; it must be closed."""
        self._check_closed(partition)
        self._disk.pop(partition, None)
        self._damaged.discard(partition)

    def damage(self, partition: Partition) -> None:
        """Make the store unreadable until it is wiped."""
        self._damaged.add(partition)

    def crash(self) -> None:
        """The process died: every store is as its last write left it, and can be opened again."""
        for store in self._stores.values():
            store.close()

    def _check_closed(self, partition: Partition) -> None:
        store = self._stores.get(partition)
        if store is not None and store.is_open:
            raise InvariantError(f"the store of {partition} is open")
