"""The ordered key-value port through which the rules reach their state.

The same rules run on a sorted dictionary in a test and on RocksDB in the worker. What must stay true: after an object
was changed it is ``put`` again, since only what was put is written; and a table is never written while one of its scans
is open.
"""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

import msgspec

Value = TypeVar("Value")


class TableSpec(msgspec.Struct, Generic[Value], frozen=True):
    """A named table: its number in the store (one byte, never reused) and the type of its values."""

    name: str
    number: int
    value: type[Value]


class Table(Protocol[Value]):
    """One ordered table. Keys are made by :func:`bostream.domain.keys.pack`; values are owned by the table."""

    def get(self, key: bytes) -> Value | None:
        """Return the present value, with every write of this batch, or None."""

    def put(self, key: bytes, value: Value) -> None:
        """Set the value; the object belongs to the table from now on."""

    def delete(self, key: bytes) -> None:
        """Remove the key; nothing happens when it is absent."""

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, Value]]:
        """Yield (key, value) in key order for keys with this prefix.

        Args:
            prefix: what every key begins with.
            start: a whole key; forward: skip keys below it; reverse: skip keys above it. Itself included.
            reverse: from the greatest key down.
        """


class State(Protocol):
    """All tables of one partition."""

    def table(self, spec: TableSpec[Value]) -> Table[Value]:
        """Return the table of this spec, always the same object."""


class Timer(msgspec.Struct, frozen=True, array_like=True):
    """A moment of log time at which a stage wants to be called.

    ``kind`` and ``subject`` (ids) say what for; a timer is identified by all three fields, and is ordered by ``due``.
    """

    due: int
    kind: str
    subject: tuple[str, ...]


TIMERS: TableSpec[Timer] = TableSpec("timers", 1, Timer)
"""Timers of a partition by ``pack(due, kind, *subject)``; the engine fires and deletes them (R21)."""
