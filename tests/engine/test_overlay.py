"""The overlay against a plain dictionary, and what the contract of State does not cover."""

import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bostream.adapters.rocks import RocksStoreFactory
from bostream.domain.state import TableSpec
from bostream.engine import heads
from bostream.engine.overlay import Overlay
from bostream.engine.ports import Partition, Store
from bostream.errors import InvariantError
from bostream.testing.store import MemoryStore


class Row(msgspec.Struct, array_like=True):
    units: int


ROWS: TableSpec[Row] = TableSpec("rows", 7, Row)
OTHERS: TableSpec[Row] = TableSpec("others", 8, Row)


class CountingStore(MemoryStore):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.gets = 0
        self.scanned = 0

    def get(self, key: bytes) -> bytes | None:
        self.gets += 1
        return super().get(key)

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        for row in super().scan(prefix, start=start, reverse=reverse):
            self.scanned += 1
            yield row


def commit(overlay: Overlay, store: Store) -> list[tuple[bytes, bytes | None]]:
    changes = list(overlay.changes())
    store.write(changes)
    overlay.committed()
    return changes


def put_all(overlay: Overlay, keys: Iterable[bytes]) -> None:
    for key in keys:
        overlay.table(ROWS).put(key, Row(1))


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def overlay(store: CountingStore) -> Overlay:
    return Overlay(store, ROWS, OTHERS, clean_objects_max=3)


def test_changes_are_sorted_by_table_and_key_and_stay_the_same_bytes(overlay: Overlay) -> None:
    overlay.table(OTHERS).put(b"a", Row(3))
    overlay.table(ROWS).put(b"b", Row(2))
    row = Row(1)
    overlay.table(ROWS).put(b"a", row)
    expected = [(b"\x07a", b"\x91\x01"), (b"\x07b", b"\x91\x02"), (b"\x08a", b"\x91\x03")]
    assert expected == list(overlay.changes())

    row.units = 9

    assert expected == list(overlay.changes())


def test_a_write_after_the_changes_were_taken_is_refused_until_the_batch_ends(
    overlay: Overlay, store: CountingStore
) -> None:
    list(overlay.changes())

    with pytest.raises(InvariantError, match="taken already"):
        overlay.table(ROWS).put(b"a", Row(1))
    with pytest.raises(InvariantError, match="taken already"):
        overlay.table(ROWS).delete(b"a")

    commit(overlay, store)
    overlay.table(ROWS).put(b"a", Row(1))
    overlay.discard()
    overlay.table(ROWS).put(b"a", Row(1))


def test_a_batch_whose_changes_were_never_taken_is_not_durable(overlay: Overlay) -> None:
    overlay.committed()
    overlay.table(ROWS).put(b"a", Row(1))

    with pytest.raises(InvariantError):
        overlay.committed()


def test_a_key_that_came_and_went_within_the_batch_is_left_out(overlay: Overlay, store: CountingStore) -> None:
    table = overlay.table(ROWS)
    put_all(overlay, [b"a"])
    table.delete(b"a")
    table.delete(b"never")

    assert [] == commit(overlay, store)


def test_a_stored_key_that_was_overwritten_unread_and_deleted_leaves_a_tombstone(store: CountingStore) -> None:
    commit_to = Overlay(store, clean_objects_max=0)
    put_all(commit_to, [b"a", b"b"])
    commit(commit_to, store)
    put_all(commit_to, [b"a"])
    commit_to.table(ROWS).delete(b"a")
    commit_to.table(ROWS).delete(b"b")

    assert [(b"\x07a", None), (b"\x07b", None)] == commit(commit_to, store)


def test_a_dropped_batch_leaves_no_trace_in_objects_that_it_mutated(overlay: Overlay, store: CountingStore) -> None:
    put_all(overlay, [b"a", b"b"])
    commit(overlay, store)
    table = overlay.table(ROWS)
    for key in (b"a", b"b"):
        row = table.get(key)
        assert row is not None
        row.units = 9
    table.put(b"a", Row(9))

    overlay.discard()

    assert [Row(1), Row(1)] == [table.get(b"a"), table.get(b"b")]


def test_an_object_held_since_an_earlier_batch_cannot_outlive_a_dropped_one(
    overlay: Overlay, store: CountingStore
) -> None:
    row = Row(1)
    overlay.table(ROWS).put(b"a", row)
    commit(overlay, store)
    row.units = 9

    overlay.discard()

    assert Row(1) == overlay.table(ROWS).get(b"a")


@pytest.mark.parametrize("reverse", [False, True])
def test_rows_that_a_dropped_batch_deleted_are_found_again(
    overlay: Overlay, store: CountingStore, reverse: bool
) -> None:
    put_all(overlay, [b"a", b"b"])
    commit(overlay, store)
    table = overlay.table(ROWS)
    (first, _), _ = table.scan(b"", reverse=reverse)
    table.delete(first)
    assert first != next(table.scan(b"", reverse=reverse))[0]

    overlay.discard()

    assert first == next(table.scan(b"", reverse=reverse))[0]


def test_objects_keep_their_identity_within_a_batch_however_many_it_meets(
    overlay: Overlay, store: CountingStore
) -> None:
    keys = [b"%03d" % number for number in range(50)]
    put_all(overlay, keys)
    commit(overlay, store)
    table = overlay.table(ROWS)
    first = table.get(keys[0])

    scanned = dict(table.scan(b""))

    assert scanned[keys[0]] is first
    assert all(table.get(key) is scanned[key] for key in keys)


def test_the_cache_keeps_the_most_recently_met_objects_between_batches(overlay: Overlay, store: CountingStore) -> None:
    keys = [b"a", b"b", b"c", b"d"]
    put_all(overlay, keys)
    commit(overlay, store)
    store.gets = 0

    for key in (b"b", b"c", b"d"):
        overlay.table(ROWS).get(key)
    assert 0 == store.gets
    overlay.table(ROWS).get(b"a")
    assert 1 == store.gets


def test_the_first_row_of_a_scan_costs_one_stored_row(overlay: Overlay, store: CountingStore) -> None:
    put_all(overlay, [b"%03d" % number for number in range(100)])
    commit(overlay, store)
    put_all(overlay, [b"%03da" % number for number in range(100)])

    assert b"000" == next(overlay.table(ROWS).scan(b""))[0]
    assert b"099a" == next(overlay.table(ROWS).scan(b"", reverse=True))[0]
    assert 2 == store.scanned


@pytest.mark.parametrize("reverse", [False, True])
def test_a_queue_served_at_its_head_is_not_walked_through_again(
    overlay: Overlay, store: CountingStore, reverse: bool
) -> None:
    rows = 200
    put_all(overlay, [b"%03d" % number for number in range(rows)])
    commit(overlay, store)
    table = overlay.table(ROWS)

    for _ in range(rows):
        table.delete(next(table.scan(b"", reverse=reverse))[0])

    assert next(table.scan(b"", reverse=reverse), None) is None
    assert store.scanned <= 2 * rows + 2


@pytest.mark.parametrize("reverse", [False, True])
def test_a_row_put_before_the_head_of_a_queue_is_found_after_the_commit(
    overlay: Overlay, store: CountingStore, reverse: bool
) -> None:
    table = overlay.table(ROWS)
    assert next(table.scan(b"q", reverse=reverse), None) is None
    for key in (b"q5", b"q9" if reverse else b"q1"):
        put_all(overlay, [key])
        commit(overlay, store)
        assert key == next(table.scan(b"q", reverse=reverse))[0]


def test_heads_of_many_prefixes_are_bounded_and_stay_right(overlay: Overlay, store: CountingStore) -> None:
    keys = [b"%04d" % number for number in range(heads.HEADS_MAX + 50)]
    put_all(overlay, keys)
    commit(overlay, store)

    for key in keys * 2:
        assert [key] == [found for found, _ in overlay.table(ROWS).scan(key)]
    assert heads.HEADS_MAX == len(overlay.table(ROWS)._heads._heads)


def test_a_scan_that_outlives_its_batch_is_refused_and_does_not_bar_the_next(
    overlay: Overlay, store: CountingStore
) -> None:
    put_all(overlay, [b"a", b"b"])
    commit(overlay, store)
    scan = overlay.table(ROWS).scan(b"")
    next(scan)
    overlay.discard()

    with pytest.raises(InvariantError, match="batch had ended"):
        next(scan)
    put_all(overlay, [b"c"])


@pytest.mark.parametrize("number", [-1, 0, 255, 256])
def test_reserved_table_numbers_are_refused(overlay: Overlay, number: int) -> None:
    with pytest.raises(InvariantError):
        overlay.table(TableSpec("reserved", number, Row))


def test_two_tables_do_not_share_a_number(overlay: Overlay) -> None:
    with pytest.raises(InvariantError):
        overlay.table(TableSpec("usurper", ROWS.number, Row))


def test_a_row_that_does_not_decode_is_our_bug_and_no_reason_to_wipe(overlay: Overlay, store: CountingStore) -> None:
    store.write([(b"\x07a", b"\xc1")])

    with pytest.raises(InvariantError, match="rows"):
        overlay.table(ROWS).get(b"a")


KEYS = st.text("ab\xff", min_size=1, max_size=3).map(lambda text: text.encode("latin-1"))
PREFIXES = st.text("ab\xff", max_size=2).map(lambda text: text.encode("latin-1"))


class OverlayMachine(RuleBasedStateMachine):
    """Random batches on an overlay and on a dictionary."""

    @initialize()
    def begin(self) -> None:
        self.store = self.make_store()
        self.overlay = Overlay(self.store, clean_objects_max=2)
        self.now: dict[bytes, int] = {}
        self.durable: dict[bytes, int] = {}

    def make_store(self) -> Store:
        return MemoryStore()

    @rule(key=KEYS, units=st.integers(0, 5))
    def put(self, key: bytes, units: int) -> None:
        self.overlay.table(ROWS).put(key, Row(units))
        self.now[key] = units

    @rule(key=KEYS)
    def mutate(self, key: bytes) -> None:
        row = self.overlay.table(ROWS).get(key)
        assert self.now.get(key) == (None if row is None else row.units)
        if row is not None:
            row.units += 10
            self.overlay.table(ROWS).put(key, row)
            self.now[key] += 10

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        self.overlay.table(ROWS).delete(key)
        self.now.pop(key, None)

    @rule(prefix=PREFIXES, reverse=st.booleans())
    def delete_the_first(self, prefix: bytes, reverse: bool) -> None:
        first = next(self.overlay.table(ROWS).scan(prefix, reverse=reverse), None)
        if first is not None:
            self.delete(first[0])

    @rule(prefix=PREFIXES, start=st.none() | KEYS, reverse=st.booleans(), taken=st.sampled_from([1, 2, 100]))
    def scan(self, prefix: bytes, start: bytes | None, reverse: bool, taken: int) -> None:
        self.scan_with(prefix, start, reverse, taken)

    def scan_with(self, prefix: bytes, start: bytes | None, reverse: bool, taken: int) -> None:
        expected = [
            (key, units)
            for key, units in sorted(self.now.items(), reverse=reverse)
            if key.startswith(prefix) and (start is None or (key <= start if reverse else key >= start))
        ]
        found = list(islice(self.overlay.table(ROWS).scan(prefix, start=start, reverse=reverse), taken))
        assert expected[:taken] == [(key, row.units) for key, row in found]
        assert all(self.overlay.table(ROWS).get(key) is row for key, row in found)

    @rule()
    def commit(self) -> None:
        changes = commit(self.overlay, self.store)
        assert sorted(changes) == changes
        assert {key[1:] for key, value in changes if value is None} <= self.durable.keys()
        self.durable = dict(self.now)

    @rule(prefix=PREFIXES)
    def discard(self, prefix: bytes) -> None:
        for reverse in (False, True):
            self.scan_with(prefix, None, reverse, 1)
        self.overlay.discard()
        self.now = dict(self.durable)
        for reverse in (False, True):
            self.scan_with(prefix, None, reverse, 1)

    @invariant()
    def the_store_holds_what_was_committed(self) -> None:
        stored = {key[1:]: msgspec.msgpack.decode(row, type=Row).units for key, row in self.store.scan(b"")}
        assert self.durable == stored


class RocksOverlayMachine(OverlayMachine):
    """The same on RocksDB."""

    def make_store(self) -> Store:
        self.directory = tempfile.TemporaryDirectory()
        return RocksStoreFactory(Path(self.directory.name), 4, 1).open(Partition("app", 0))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.directory.cleanup()


TestOverlayOnMemory = OverlayMachine.TestCase
TestOverlayOnMemory.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestOverlayOnRocks = RocksOverlayMachine.TestCase
TestOverlayOnRocks.settings = settings(max_examples=20, stateful_step_count=50, deadline=None)
