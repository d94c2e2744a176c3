"""State on sorted dictionaries: the rules' tables without a store, for tests of rules."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Generic, TypeVar, cast

from sortedcontainers import SortedDict

from bostream.domain.state import TableSpec
from bostream.errors import InvariantError

Value = TypeVar("Value")


class MemoryTable(Generic[Value]):
    """A :class:`bostream.domain.state.Table` on a sorted dictionary; refuses to be written during a scan."""

    def __init__(self) -> None:
        self._rows: SortedDict[bytes, Value] = SortedDict()
        self._open_scans = 0

    def get(self, key: bytes) -> Value | None:
        """Return the value or None."""
        return cast("Value | None", self._rows.get(key))

    def put(self, key: bytes, value: Value) -> None:
        """Set the value."""
        self._refuse_during_scan(key)
        self._rows[key] = value

    def delete(self, key: bytes) -> None:
        """Remove the key if it is there."""
        self._refuse_during_scan(key)
        self._rows.pop(key, None)

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, Value]]:
        """Yield pairs in key order; see :meth:`bostream.domain.state.Table.scan`."""
        end = prefix + b"\xff" * 64
        low = max(prefix, start) if start is not None and not reverse else prefix
        high = min(end, start) if start is not None and reverse else end
        if low > high:
            return
        self._open_scans += 1
        try:
            for key in self._rows.irange(low, high, reverse=reverse):
                yield key, self._rows[key]
        finally:
            self._open_scans -= 1

    def _refuse_during_scan(self, key: bytes) -> None:
        if self._open_scans:
            raise InvariantError(f"the table was written at {key.hex()} while one of its scans is open")


class MemoryState:
    """A :class:`bostream.domain.state.State` in memory."""

    def __init__(self) -> None:
        self._tables: dict[int, MemoryTable[Any]] = {}

    def table(self, spec: TableSpec[Value]) -> MemoryTable[Value]:
        """Return the table of this spec, always the same object."""
        return cast(MemoryTable[Value], self._tables.setdefault(spec.number, MemoryTable()))

    def rows(self) -> dict[tuple[int, bytes], Any]:
        """Return a deep copy of everything, by (table number, key), to compare two states: rows change in place."""
        return {
            (number, key): deepcopy(row) for number, table in self._tables.items() for key, row in table._rows.items()
        }
