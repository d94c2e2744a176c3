"""What every Store and StoreFactory must do: one suite for the fake and for RocksDB."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bostream.adapters.rocks import RocksStoreFactory
from bostream.engine.ports import Partition, Store, StoreFactory
from bostream.errors import InvariantError
from bostream.testing.store import MemoryStoreFactory

HERE = Partition("app-skus-changelog", 3)
THERE = Partition("app-skus-changelog", 4)

MAKERS: dict[str, Callable[[Path], StoreFactory]] = {
    "memory": lambda _: MemoryStoreFactory(),
    "rocks": lambda directory: RocksStoreFactory(directory, cache_mb=8, write_buffer_mb=2),
}


@pytest.fixture(params=sorted(MAKERS))
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> StoreFactory:
    return MAKERS[request.param](tmp_path / "state")


@pytest.fixture
def store(stores: StoreFactory) -> Store:
    return stores.open(HERE)


def fill(store: Store, *keys: bytes) -> None:
    store.write((key, b"value of " + key) for key in keys)


def keys_of(store: Store, prefix: bytes, *, start: bytes | None = None, reverse: bool = False) -> list[bytes]:
    return [key for key, _ in store.scan(prefix, start=start, reverse=reverse)]


def test_a_written_value_is_read_back(store: Store) -> None:
    store.write([(b"\x01a", b"1"), (b"\x01b", b"")])

    assert b"1" == store.get(b"\x01a")
    assert b"" == store.get(b"\x01b")
    assert store.get(b"\x01c") is None


def test_a_deleted_key_is_absent_and_deleting_an_absent_key_is_no_error(store: Store) -> None:
    fill(store, b"\x01a", b"\x01b")

    store.write([(b"\x01a", None), (b"\x01z", None)])

    assert store.get(b"\x01a") is None
    assert [b"\x01b"] == keys_of(store, b"\x01")


def test_of_two_changes_of_one_key_in_a_write_the_later_counts(store: Store) -> None:
    store.write([(b"a", b"1"), (b"a", None), (b"b", None), (b"b", b"2")])

    assert store.get(b"a") is None
    assert b"2" == store.get(b"b")


def test_a_write_whose_changes_cannot_be_taken_changes_nothing(store: Store) -> None:
    def changes() -> Iterator[tuple[bytes, bytes | None]]:
        yield b"a", b"1"
        raise InvariantError("no second change")

    with pytest.raises(InvariantError):
        store.write(changes())

    assert store.get(b"a") is None


@pytest.mark.parametrize(
    ("prefix", "start", "forward", "backward"),
    [
        (b"\x01", None, [b"\x01a", b"\x01b", b"\x01c"], [b"\x01c", b"\x01b", b"\x01a"]),
        (b"\x01", b"\x01b", [b"\x01b", b"\x01c"], [b"\x01b", b"\x01a"]),
        (b"\x01", b"\x01bb", [b"\x01c"], [b"\x01b", b"\x01a"]),
        (b"\x01", b"\x00", [b"\x01a", b"\x01b", b"\x01c"], []),
        (b"\x01", b"\x03", [], [b"\x01c", b"\x01b", b"\x01a"]),
        (b"\x01b", None, [b"\x01b"], [b"\x01b"]),
        (b"\x01d", None, [], []),
        (b"\xff", None, [b"\xffa", b"\xff\xff"], [b"\xff\xff", b"\xffa"]),
        (b"\xff\xff", None, [b"\xff\xff"], [b"\xff\xff"]),
        (b"", b"\x02", [b"\x02a", b"\xffa", b"\xff\xff"], [b"\x01c", b"\x01b", b"\x01a", b"\x00a"]),
    ],
)
def test_a_scan_yields_the_keys_of_its_prefix_from_its_start(
    store: Store, prefix: bytes, start: bytes | None, forward: list[bytes], backward: list[bytes]
) -> None:
    fill(store, b"\x00a", b"\x01a", b"\x01b", b"\x01c", b"\x02a", b"\xffa", b"\xff\xff")

    assert forward == keys_of(store, prefix, start=start)
    assert backward == keys_of(store, prefix, start=start, reverse=True)


def test_a_scan_yields_values_with_their_keys(store: Store) -> None:
    fill(store, b"a", b"b")

    assert [(b"a", b"value of a"), (b"b", b"value of b")] == list(store.scan(b""))


def test_a_reopened_store_has_what_was_written(stores: StoreFactory) -> None:
    store = stores.open(HERE)
    fill(store, b"a")
    store.close()

    assert [b"a"] == keys_of(stores.open(HERE), b"")


def test_a_store_closed_during_a_scan_can_be_reopened_and_the_scan_is_refused(stores: StoreFactory) -> None:
    store = stores.open(HERE)
    fill(store, b"a", b"b")
    scan = store.scan(b"")
    assert (b"a", b"value of a") == next(scan)

    store.close()
    reopened = stores.open(HERE)

    assert [b"a", b"b"] == keys_of(reopened, b"")
    with pytest.raises(InvariantError):
        next(scan)


def test_a_closed_store_is_refused_and_closing_twice_is_no_error(store: Store) -> None:
    store.close()
    store.close()

    with pytest.raises(InvariantError):
        store.get(b"a")
    with pytest.raises(InvariantError):
        store.write([(b"a", b"1")])
    with pytest.raises(InvariantError):
        next(store.scan(b""))


def test_an_open_store_is_neither_opened_again_nor_wiped(stores: StoreFactory, store: Store) -> None:
    with pytest.raises(InvariantError):
        stores.open(HERE)
    with pytest.raises(InvariantError):
        stores.wipe(HERE)
    assert store.get(b"a") is None


def test_a_wiped_store_opens_empty_and_others_keep_their_rows(stores: StoreFactory) -> None:
    for partition in (HERE, THERE):
        store = stores.open(partition)
        fill(store, b"a")
        store.close()

    stores.wipe(HERE)

    assert [] == keys_of(stores.open(HERE), b"")
    assert [b"a"] == keys_of(stores.open(THERE), b"")


def test_wiping_a_store_that_does_not_exist_is_no_error(stores: StoreFactory) -> None:
    stores.wipe(HERE)

    assert [] == keys_of(stores.open(HERE), b"")
