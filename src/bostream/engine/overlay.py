"""The state of one partition as its stage sees it: one batch of writes over a store that stays behind.

Rules read and write objects here; nothing reaches the store until the batch is one committed transaction. The order is

1. the stage gets, mutates, puts, deletes and scans;
2. :meth:`Overlay.changes` ends the writing: it encodes each written key once, for the changelog and the store alike;
3. the engine commits, writes the same changes to the store, and only then calls :meth:`Overlay.committed`;
   or the batch is dropped with :meth:`Overlay.discard`.

What must stay true:

* A read sees every write of its batch, and after ``discard`` none of them.
* Within a batch a key has one object, however it was found, because rules mutate objects that others may hold. So
  objects leave the cache only between batches; what a batch holds is bounded by the bounds of the batch.
* The bytes in the changelog and in the store are the same bytes.
* The store's tables change only by what ``changes`` gave, followed by ``committed``.

Each table's keys begin with its number, one byte. Number 0 is the engine's own (:mod:`bostream.engine.chain`): it adds
its rows to the same write. Number 255 is kept free.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final, TypeVar, cast

from bostream.domain.state import TableSpec
from bostream.engine.overlay_table import OverlayTable
from bostream.engine.ports import Store
from bostream.errors import InvariantError

Value = TypeVar("Value")

_NUMBER_MIN: Final = 1
_NUMBER_MAX: Final = 254


class Overlay:
    """A :class:`bostream.domain.state.State` over a store.

    Args:
        store: open and restored; nobody else writes its tables while the overlay lives.
        specs: tables to make now; others are made when first asked for.
        clean_objects_max: decoded objects kept between batches, over all tables, the most recently used ones.
    """

    def __init__(self, store: Store, *specs: TableSpec[Any], clean_objects_max: int) -> None:
        self._store = store
        self._clean_objects_max = clean_objects_max
        self._clean: OrderedDict[bytes, Any] = OrderedDict()
        self._tables: dict[int, OverlayTable[Any]] = {}
        self._changes: list[tuple[bytes, bytes | None]] | None = None
        for spec in specs:
            self.table(spec)

    def table(self, spec: TableSpec[Value]) -> OverlayTable[Value]:
        """Return the table of this spec, always the same object.

        Raises:
            InvariantError: the number is reserved (0, 255), no byte, or taken by another table.
        """
        table = self._tables.get(spec.number)
        if table is None:
            if not _NUMBER_MIN <= spec.number <= _NUMBER_MAX:
                raise InvariantError(f"table {spec.name} has number {spec.number}, which is reserved or not a byte")
            table = OverlayTable(spec, self._store, self._clean)
            if self._changes is not None:
                table.seal()
            self._tables[spec.number] = table
        elif table.spec != spec:
            raise InvariantError(f"tables {table.spec.name} and {spec.name} share the number {spec.number}")
        return cast(OverlayTable[Value], table)

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield what the batch changes: (key in the store, encoded value or None for a deletion), sorted by key.

        The first call ends the writing: until :meth:`committed` or :meth:`discard` a write raises InvariantError, and
        every call yields the same bytes. A key that the store does not have and the batch does not leave is left out.
        """
        if self._changes is None:
            changes: list[tuple[bytes, bytes | None]] = []
            for number in sorted(self._tables):
                changes.extend(self._tables[number].encoded())
            for table in self._tables.values():
                table.seal()
            self._changes = changes
        return iter(self._changes)

    def committed(self) -> None:
        """The store has the changes: what was written is clean from now on, and a new batch begins.

        Raises:
            InvariantError: something was written, but :meth:`changes` was never asked for it.
        """
        if self._changes is None and any(table.has_writes for table in self._tables.values()):
            raise InvariantError("a batch was declared durable before its changes were asked for")
        for table in self._tables.values():
            table.settle()
        self._changes = None
        while len(self._clean) > self._clean_objects_max:
            self._clean.popitem(last=False)

    def discard(self) -> None:
        """The batch is dropped: forget its writes, and every cached object, since any may have been mutated."""
        for table in self._tables.values():
            table.forget()
        self._clean.clear()
        self._changes = None
