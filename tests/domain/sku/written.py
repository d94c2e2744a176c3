"""State that keeps bytes only, as a store does: what was changed and not put is lost."""

from collections.abc import Iterator
from typing import Any, TypeVar, cast

import msgspec

from bostream.domain.state import TableSpec
from bostream.testing.memory import MemoryState, MemoryTable

Value = TypeVar("Value")


class WrittenTable(MemoryTable[Value]):
    """A table whose every read decodes anew."""

    def __init__(self, value: type[Value]) -> None:
        super().__init__()
        self._decoder = msgspec.msgpack.Decoder(value)

    def get(self, key: bytes) -> Value | None:
        """Return a new object."""
        encoded = cast("bytes | None", self._rows.get(key))
        return None if encoded is None else self._decoder.decode(encoded)

    def put(self, key: bytes, value: Value) -> None:
        """Keep the bytes."""
        super().put(key, cast("Value", msgspec.msgpack.encode(value)))

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, Value]]:
        """Yield new objects."""
        for key, encoded in super().scan(prefix, start=start, reverse=reverse):
            yield key, self._decoder.decode(cast("bytes", encoded))


class WrittenState(MemoryState):
    """Tables that keep bytes only."""

    def table(self, spec: TableSpec[Value]) -> MemoryTable[Value]:
        """Return the table of this spec, always the same object."""
        if spec.number not in self._tables:
            self._tables[spec.number] = cast("MemoryTable[Any]", WrittenTable(spec.value))
        return cast("MemoryTable[Value]", self._tables[spec.number])
