"""One table of an overlay: objects of the batch, over clean objects, over the store.

What must stay true: the module docstring of :mod:`bostream.engine.overlay`. ``get`` and ``put`` of a key that the batch
has met already are dictionary operations and nothing else: this is the hottest code of the worker.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

import msgspec

from bostream.domain.state import TableSpec
from bostream.engine.heads import NOTHING, Heads, Nothing
from bostream.engine.ports import Store
from bostream.engine.written import WrittenKeys
from bostream.errors import InvariantError

Value = TypeVar("Value")


class _Unmet:
    """Stands for a key that the batch has not met, where None stands for one that it knows to be absent."""


_UNMET: Final = _Unmet()


class OverlayTable(Generic[Value]):
    """A :class:`bostream.domain.state.Table`; made by :class:`bostream.engine.overlay.Overlay` only.

    Args:
        spec: number and type of value.
        store: where rows lie that the batch has not met.
        clean: objects equal to their stored rows, by key in the store; shared by all tables of the overlay. An object
            leaves it when the batch meets its key, and comes back when the batch is durable.
    """

    __slots__ = (
        "_batch", "_clean", "_decoder", "_dirty", "_encoder", "_heads", "_met", "_number", "_open_scans", "_sealed",
        "_store", "_written", "spec",
    )  # fmt: skip

    def __init__(self, spec: TableSpec[Value], store: Store, clean: OrderedDict[bytes, Any]) -> None:
        self.spec = spec
        self._number = bytes((spec.number,))
        self._store = store
        self._clean = clean
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(spec.value)
        # Every key that the batch has met, with its present value.
        self._met: dict[bytes, Value | None] = {}
        # Of those the written ones, with whether the store is known to have a row, which this one hides.
        self._dirty: dict[bytes, bool] = {}
        self._written = WrittenKeys()
        self._heads = Heads()
        self._open_scans = 0
        self._sealed = False
        self._batch = 0

    def get(self, key: bytes) -> Value | None:
        """Return the present value, with every write of this batch, or None."""
        value = self._met.get(key, _UNMET)
        if isinstance(value, _Unmet):
            return self._meet(key)
        return value

    def put(self, key: bytes, value: Value) -> None:
        """Set the value; the object belongs to the table from now on."""
        if self._open_scans or self._sealed:
            self._refuse(key)
        if key not in self._dirty:
            self._dirty[key] = self._is_known_in_store(key)
            self._written.put(key)
        elif self._met[key] is None:
            self._written.put(key)
        self._met[key] = value

    def delete(self, key: bytes) -> None:
        """Remove the key; nothing happens when it is known to be absent."""
        if self._open_scans or self._sealed:
            self._refuse(key)
        if self._met.get(key, _UNMET) is None:
            return
        if key in self._dirty:
            self._written.drop(key)
        else:
            self._dirty[key] = self._is_known_in_store(key)
        self._met[key] = None

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, Value]]:
        """Yield (key, value) in key order for keys with this prefix; see :meth:`bostream.domain.state.Table.scan`.

        Takes from the store only what is asked for. While it is open (begun, neither exhausted nor let go), writing to
        the table raises InvariantError, and so does going on after the batch has ended.
        """
        batch = self._batch
        self._open_scans += 1
        try:
            written = self._written.within(prefix, start, reverse=reverse)
            stored = self._stored(prefix, start, reverse=reverse)
            for row in self._merge(stored, written, reverse=reverse):
                yield row
                if self._batch != batch:
                    raise InvariantError(f"a scan of {self.spec.name} went on after its batch had ended")
        finally:
            if self._batch == batch:
                self._open_scans -= 1

    # --- for the overlay

    @property
    def has_writes(self) -> bool:
        """Whether the batch wrote to this table."""
        return bool(self._dirty)

    def seal(self) -> None:
        """Refuse writes until the batch has ended."""
        self._sealed = True

    def encoded(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the written rows as the store will have them, in key order."""
        for key in sorted(self._dirty):
            value = self._met[key]
            name = self._number + key
            if value is not None:
                yield name, self._encoder.encode(value)
            elif self._dirty[key] or self._store.get(name) is not None:
                yield name, None

    def settle(self) -> None:
        """The written rows are in the store: all objects that the batch met become clean."""
        number, clean = self._number, self._clean
        for key, value in self._met.items():
            if value is not None:
                clean[number + key] = value
        if self._dirty:
            self._heads.admit(self._written.ordered())
        self._begin_batch()

    def forget(self) -> None:
        """Drop the batch. Rows that it hid are visible again, so no head can be trusted."""
        self._heads.clear()
        self._begin_batch()

    def _begin_batch(self) -> None:
        self._met = {}
        self._dirty = {}
        self._written.clear()
        self._open_scans = 0
        self._sealed = False
        self._batch += 1

    # --- reading

    def _meet(self, key: bytes) -> Value | None:
        name = self._number + key
        value: Value | None = self._clean.pop(name, None)
        if value is None:
            row = self._store.get(name)
            if row is not None:
                value = self._decode(name, row)
        self._met[key] = value
        return value

    def _is_known_in_store(self, key: bytes) -> bool:
        """Tell, for a key not yet written, whether the store surely has it, without asking the store."""
        return self._met.get(key) is not None or self._clean.pop(self._number + key, None) is not None

    def _stored(self, prefix: bytes, start: bytes | None, *, reverse: bool) -> Iterator[tuple[bytes, Value]]:
        """Yield the rows of the store that the batch does not hide, as objects."""
        at_head = start is None
        if at_head:
            head = self._heads.find(prefix, reverse=reverse)
            if isinstance(head, Nothing):
                return
            start = head
        number, dirty, met = self._number, self._dirty, self._met
        from_name = None if start is None else number + start
        for name, row in self._store.scan(number + prefix, start=from_name, reverse=reverse):
            key = name[1:]
            if key in dirty:
                continue
            if at_head:
                self._heads.note(prefix, key, reverse=reverse)
                at_head = False
            value = met.get(key)
            if value is None:
                value = self._clean.pop(name, None)
                if value is None:
                    value = self._decode(name, row)
                met[key] = value
            yield key, value
        if at_head:
            self._heads.note(prefix, NOTHING, reverse=reverse)

    def _merge(
        self, stored: Iterator[tuple[bytes, Value]], written: Iterable[bytes], *, reverse: bool
    ) -> Iterator[tuple[bytes, Value]]:
        """Merge two ordered streams that have no key in common."""
        row = next(stored, None)
        for key in written:
            while row is not None and (row[0] > key) == reverse:
                yield row
                row = next(stored, None)
            value = self._met[key]
            if value is None:
                raise InvariantError(f"{self.spec.name}: {key.hex()} is listed as written, but was deleted")
            yield key, value
        while row is not None:
            yield row
            row = next(stored, None)

    def _decode(self, name: bytes, row: bytes) -> Value:
        """Decode a row. The store checks its blocks, so a misfit is our bug, and a wipe would only restore it."""
        try:
            return self._decoder.decode(row)
        except msgspec.MsgspecError as error:
            raise InvariantError(f"the row {name.hex()} of table {self.spec.name} does not decode: {error}") from error

    def _refuse(self, key: bytes) -> None:
        why = "its changes were taken already" if self._sealed else "one of its scans is open"
        raise InvariantError(f"table {self.spec.name} was written at {key.hex()} while {why}")
