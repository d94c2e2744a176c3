"""State on sorted dictionaries: the rules' tables without a store, for tests of rules."""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar, cast

from sortedcontainers import SortedDict

from bostream.domain.state import TableSpec

Value = TypeVar("Value")


class MemoryTable(Generic[Value]):
    """A :class:`bostream.domain.state.Table` on a sorted dictionary; refuses to be written during a scan."""

    def __init__(self) -> None:
        self._rows: SortedDict[bytes, Value] = SortedDict()
        self._writes = 0

    def get(self, key: bytes) -> Value | None:
        """Return the value or None."""
        return self._rows.get(key)

    def put(self, key: bytes, value: Value) -> None:
        """Set the value."""
        self._writes += 1
        self._rows[key] = value

    def delete(self, key: bytes) -> None:
        """Remove the key if it is there."""
        self._writes += 1
        self._rows.pop(key, None)

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, Value]]:
        """Yield pairs in key order; see :meth:`bostream.domain.state.Table.scan`."""
        low = prefix if reverse or start is None else max(prefix, start)
        high = start if reverse else None
        writes = self._writes
        for key in self._rows.irange(low, high, reverse=reverse) if not reverse else self._reverse(prefix, high):
            if not key.startswith(prefix):
                return
            yield key, self._rows[key]
            if self._writes != writes:
                raise RuntimeError("the table was written while one of its scans was open")

    def _reverse(self, prefix: bytes, high: bytes | None) -> Iterator[bytes]:
        top = prefix + b"\xff" * 64 if high is None else high
        for key in self._rows.irange(prefix, top, reverse=True):
            yield key


class MemoryState:
    """A :class:`bostream.domain.state.State` in memory."""

    def __init__(self) -> None:
        self._tables: dict[int, MemoryTable[Any]] = {}

    def table(self, spec: TableSpec[Value]) -> MemoryTable[Value]:
        """Return the table of this spec, always the same object."""
        return cast(MemoryTable[Value], self._tables.setdefault(spec.number, MemoryTable()))

    def rows(self) -> dict[tuple[int, bytes], Any]:
        """Return a copy of everything, by (table number, key), to compare two states."""
        return {(number, key): row for number, table in self._tables.items() for key, row in table._rows.items()}
