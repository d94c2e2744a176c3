"""What every State must do: one suite for the fake and for the overlay on each store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bostream.adapters.rocks import RocksStoreFactory
from bostream.domain.state import State, Table, TableSpec
from bostream.engine.overlay import Overlay
from bostream.engine.ports import Partition
from bostream.errors import InvariantError
from bostream.testing.memory import MemoryState
from bostream.testing.store import MemoryStore


class Row(msgspec.Struct, array_like=True):
    units: int


ROWS: TableSpec[Row] = TableSpec("rows", 7, Row)
NEIGHBOURS: TableSpec[Row] = TableSpec("neighbours", 8, Row)


def stay(_: State) -> None:
    """Everything is in the batch."""


def commit(state: State) -> None:
    """Everything is in the store, where the state has one."""
    if isinstance(state, Overlay):
        state._store.write(state.changes())
        state.committed()


def on_rocks(directory: Path) -> Overlay:
    factory = RocksStoreFactory(directory / "state", cache_mb=8, write_buffer_mb=2)
    return Overlay(factory.open(Partition("app", 0)), clean_objects_max=2)


MAKERS: dict[str, Callable[[Path], State]] = {
    "memory": lambda _: MemoryState(),
    "overlay-memory": lambda _: Overlay(MemoryStore(), clean_objects_max=2),
    "overlay-rocks": on_rocks,
}


@pytest.fixture(params=sorted(MAKERS))
def state(request: pytest.FixtureRequest, tmp_path: Path) -> State:
    return MAKERS[request.param](tmp_path)


@pytest.fixture(params=[stay, commit], ids=["in the batch", "in the store"])
def settle(request: pytest.FixtureRequest) -> Callable[[State], None]:
    chosen: Callable[[State], None] = request.param
    return chosen


def put_all(table: Table[Any], *keys: bytes) -> None:
    for key in keys:
        table.put(key, Row(key[-1]))


def test_a_table_is_always_the_same_object(state: State) -> None:
    assert state.table(ROWS) is state.table(ROWS)


def test_tables_do_not_see_each_other(state: State, settle: Callable[[State], None]) -> None:
    put_all(state.table(NEIGHBOURS), b"a")
    settle(state)

    assert state.table(ROWS).get(b"a") is None
    assert [] == list(state.table(ROWS).scan(b"", reverse=True))


def test_the_object_that_was_put_is_the_object_that_is_found(state: State, settle: Callable[[State], None]) -> None:
    table = state.table(ROWS)
    row = Row(1)
    table.put(b"a", row)
    settle(state)

    assert table.get(b"a") is row
    assert [(b"a", row)] == list(table.scan(b""))
    assert next(table.scan(b"a", reverse=True))[1] is row


def test_a_mutated_object_that_is_put_again_is_seen_mutated(state: State, settle: Callable[[State], None]) -> None:
    table = state.table(ROWS)
    put_all(table, b"a", b"b", b"c", b"d")
    settle(state)
    for _, row in list(table.scan(b"")):
        row.units += 1
    for key in (b"a", b"b", b"c", b"d"):
        found = table.get(key)
        assert found == Row(key[0] + 1)
        table.put(key, found)
    settle(state)

    assert [Row(key + 1) for key in b"abcd"] == [row for _, row in table.scan(b"")]


def test_a_deleted_key_is_absent_until_it_is_put_again(state: State, settle: Callable[[State], None]) -> None:
    table = state.table(ROWS)
    put_all(table, b"a", b"b")
    settle(state)
    table.delete(b"a")
    table.delete(b"never")
    settle(state)

    assert table.get(b"a") is None
    assert [b"b"] == [key for key, _ in table.scan(b"")]
    put_all(table, b"a")
    assert [b"a", b"b"] == [key for key, _ in table.scan(b"")]


@pytest.mark.parametrize(
    "scan",
    [
        (b"a", None, [b"a1", b"a2", b"a3", b"a4"], [b"a4", b"a3", b"a2", b"a1"]),
        (b"a", b"a2", [b"a2", b"a3", b"a4"], [b"a2", b"a1"]),
        (b"a", b"a25", [b"a3", b"a4"], [b"a2", b"a1"]),
        (b"a", b"A", [b"a1", b"a2", b"a3", b"a4"], []),
        (b"a", b"c", [], [b"a4", b"a3", b"a2", b"a1"]),
        (b"c", None, [], []),
        (b"", b"a4", [b"a4", b"b1"], [b"a4", b"a3", b"a2", b"a1"]),
    ],
)
def test_a_scan_merges_batch_and_store_in_key_order(
    state: State,
    settle: Callable[[State], None],
    scan: tuple[bytes, bytes | None, list[bytes], list[bytes]],
) -> None:
    prefix, start, forward, backward = scan
    table = state.table(ROWS)
    put_all(table, b"a1", b"a3", b"a5", b"b1")
    settle(state)
    put_all(table, b"a2", b"a4", b"a3")
    table.delete(b"a5")

    assert forward == [key for key, _ in table.scan(prefix, start=start)]
    assert backward == [key for key, _ in table.scan(prefix, start=start, reverse=True)]


@pytest.mark.parametrize("write", [lambda table: table.put(b"b", Row(1)), lambda table: table.delete(b"a")])
def test_a_write_during_a_scan_is_refused(
    state: State, settle: Callable[[State], None], write: Callable[[Table[Row]], None]
) -> None:
    table = state.table(ROWS)
    put_all(table, b"a", b"c")
    settle(state)
    scan = table.scan(b"")
    next(scan)

    with pytest.raises(InvariantError, match="scans is open"):
        write(table)

    assert [b"c"] == [key for key, _ in scan]
    write(table)


def test_a_scan_that_was_let_go_does_not_forbid_writes(state: State, settle: Callable[[State], None]) -> None:
    table = state.table(ROWS)
    put_all(table, b"a", b"c")
    settle(state)
    assert b"a" == next(table.scan(b""))[0]

    table.delete(b"a")

    assert b"c" == next(table.scan(b""))[0]
