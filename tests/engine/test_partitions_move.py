"""Partitions come and go: takeover, revocation and loss at any moment, stores and logs that do not fit together."""

import pytest

from bostream.domain.keys import pack
from bostream.engine import chain
from bostream.engine.ports import Partition
from bostream.errors import ChainBrokenError, ConfigurationError, FencedError, TransientError
from bostream.testing.cluster import Call, Fault
from tests.engine.world import CHANGELOG, COUNTS, LOG, World


def fill(world: World, keys: str = "abcdef") -> None:
    for key in keys:
        world.send(key, "timer 3" if key == "a" else "x")


def test_two_workers_share_the_work_and_do_it_once() -> None:
    world = World(partitions=4)
    world.start("one")
    fill(world)
    world.settle()
    world.start("two")
    fill(world)
    world.settle()
    fill(world)
    world.settle()
    tasks = [set(worker.assignment.tasks) for worker in world.workers.values()]
    assert all(tasks)
    assert set() == tasks[0] & tasks[1]
    world.check()


def test_a_worker_that_stops_for_good_is_replaced_when_its_session_ends() -> None:
    world = World()
    world.start("one")
    world.start("two")
    fill(world)
    world.settle()
    world.stop("one")
    fill(world)
    world.settle()
    assert {Partition(LOG, 0), Partition(LOG, 1)} == set(world.workers["two"].assignment.tasks)
    world.check()


def test_a_restarted_worker_gets_its_partitions_back_and_reads_only_what_its_store_lacks() -> None:
    world = World()
    world.start("one")
    world.start("two")
    fill(world)
    world.settle()
    before = set(world.workers["one"].assignment.tasks)
    world.stop("one")
    again = world.start("one")
    fill(world)
    world.settle()
    assert before == set(again.assignment.tasks)
    assert 0 == again.restorer.wipes
    world.check()


@pytest.mark.parametrize("point", ["C1", "C2", "C3", "C4", "C5", "C6", "C7"])
def test_a_member_that_joins_in_the_middle_of_a_batch_makes_it_fail_or_waits(point: str) -> None:
    world = World(partitions=4)
    one = world.start("one")
    fill(world)
    world.settle()
    fill(world)
    world.start("two")
    joined: list[int] = []

    def let_the_other_go_first(passed: str) -> None:
        if passed == point and not joined:
            joined.append(1)
            for _ in range(5):
                world.step("two")

    one.failpoints.on_pass = let_the_other_go_first
    world.settle()
    assert joined
    world.check()


@pytest.mark.parametrize("point", ["C1", "C2", "C3", "C4", "C5", "C6", "C7"])
def test_a_worker_frozen_in_the_middle_of_a_batch_does_no_harm_when_it_wakes(point: str) -> None:
    world = World(partitions=2)
    one = world.start("one")
    fill(world)
    world.settle()
    world.start("two")
    world.settle()
    fill(world)
    frozen: list[int] = []

    def freeze(passed: str) -> None:
        if passed == point and not frozen:
            frozen.append(1)
            world.cluster.freeze("one")
            for _ in range(200):
                world.step("two")
            assert 7 < world.cluster.clock.monotonic_s()
            world.cluster.thaw("one")

    one.failpoints.on_pass = freeze
    try:
        world.settle()
    except FencedError:  # its transaction was ended by the broker: it exits, and is started again
        world.workers.pop("one")
        world.kill("one")
        world.start("one")
        world.settle()
    assert frozen
    world.check()


def test_a_zombie_with_a_long_transaction_holds_up_its_successor_and_nothing_is_done_twice() -> None:
    world = World(partitions=1)
    world.cluster.transaction_timeout_s = 60.0
    world.start("one")
    fill(world)
    world.settle()
    two = world.start("two")
    for _ in range(20):
        world.step("one")
        world.step("two")
    owner = next(name for name, worker in world.workers.items() if worker.assignment.tasks)
    other = "two" if owner == "one" else "one"
    fill(world)
    woken: list[int] = []

    def freeze(passed: str) -> None:
        if passed == "C6" and not woken and world.workers[owner].assignment.tasks[Partition(LOG, 0)].is_touched:
            woken.append(1)
            world.cluster.freeze(owner)
            while world.cluster.clock.monotonic_s() < 30:
                world.step(other)
            assert world.cluster.transactions.is_open(owner)
            assert Partition(LOG, 0) not in world.workers[other].assignment.tasks
            world.cluster.thaw(owner)

    world.workers[owner].failpoints.on_pass = freeze
    world.settle()
    assert woken
    assert two.loop.is_settled
    world.check()


def test_offsets_that_cannot_be_looked_up_yet_are_asked_for_again() -> None:
    world = World()
    world.start()
    fill(world)
    world.settle()
    world.stop()
    failures = ["consumer.committed", "consumer.committed", "ends.ranges", "ends.ranges"]

    def fail(call: Call) -> Fault | None:
        if call.name in failures:
            failures.remove(call.name)
            return Fault.LOST
        return None

    world.cluster.before_call = fail
    world.start()
    fill(world)
    world.settle()
    assert [] == failures
    world.check()


def test_a_partition_revoked_while_it_is_restored_leaves_its_store_closed_and_usable() -> None:
    world = World(partitions=4)
    world.start("one")
    for number in range(40):
        world.send(f"k{number}")
    for _ in range(30):
        fill(world, "abcdefgh")
        world.settle()
    world.kill("one")
    world.lose_disk("one")
    one = world.start("one")
    while not one.restorer.is_busy:
        world.step("one")
    world.start("two")
    world.settle()
    world.check()


# --- what does not fit together


def settled_world(rounds: int = 3) -> World:
    world = World(partitions=1)
    world.start()
    for _ in range(rounds):
        fill(world)
        world.settle()
    return world


def test_a_store_older_than_compaction_is_wiped_and_restored_from_the_start() -> None:
    world = settled_world()
    world.stop()
    old = dict(world.disks["one"].opened[Partition(CHANGELOG, 0)].rows())
    world.start()
    for _ in range(5):
        fill(world)
        world.settle()
    world.stop()
    world.lose_disk()
    partition = Partition(CHANGELOG, 0)
    store = world.disks["one"].open(partition)
    store.write(old.items())
    store.close()
    world.cluster.log(partition).compact()
    worker = world.start()
    fill(world)
    world.settle()
    assert 1 == worker.restorer.wipes
    world.check_outputs()
    world.check_state()


def test_a_store_that_missed_a_dropped_tombstone_does_not_keep_the_row() -> None:
    world = World(partitions=1)
    world.start()
    world.send("a", "timer 3")
    world.settle()
    world.stop()
    old = dict(world.disks["one"].opened[Partition(CHANGELOG, 0)].rows())
    assert any(key[:1] == b"\x01" for key in old)
    world.start()
    world.cluster.clock.advance(10)
    world.send("a")
    world.settle()
    world.stop()
    world.lose_disk()
    partition = Partition(CHANGELOG, 0)
    store = world.disks["one"].open(partition)
    store.write(old.items())
    store.close()
    world.cluster.log(partition).compact(drop_tombstones=True)
    worker = world.start()
    world.send("a")
    world.settle()
    assert 1 == worker.restorer.wipes
    world.check_state()
    world.check_outputs()


def test_an_empty_store_is_restored_from_a_compacted_changelog() -> None:
    world = settled_world(6)
    world.kill()
    world.lose_disk()
    world.cluster.log(Partition(CHANGELOG, 0)).compact(drop_tombstones=True)
    world.start()
    fill(world)
    world.settle()
    world.check_outputs()
    world.check_state()


def test_a_damaged_store_is_wiped_and_restored() -> None:
    world = settled_world()
    world.stop()
    world.disks["one"].damage(Partition(CHANGELOG, 0))
    world.start()
    fill(world)
    world.settle()
    world.check()


def test_a_store_ahead_of_a_recreated_changelog_is_refused_and_kept() -> None:
    world = settled_world()
    world.stop()
    rows = world.disks["one"].opened[Partition(CHANGELOG, 0)].rows()
    world.cluster.delete_topic(CHANGELOG)
    world.cluster.create_topic(CHANGELOG, 1)
    world.start()
    with pytest.raises(ConfigurationError, match="changelog was"):
        world.settle()
    world.kill()
    assert rows == world.disks["one"].open(Partition(CHANGELOG, 0)).rows()


def test_a_recreated_changelog_is_refused_without_a_local_store_too() -> None:
    world = settled_world()
    world.stop()
    world.lose_disk()
    world.cluster.delete_topic(CHANGELOG)
    world.cluster.create_topic(CHANGELOG, 1)
    world.start()
    with pytest.raises(ChainBrokenError):
        world.settle()


@pytest.mark.parametrize("moved", [-1, 1, None])
def test_offsets_that_were_reset_are_refused(moved: int | None) -> None:
    world = settled_world()
    world.stop()
    partition = Partition(LOG, 0)
    committed = world.cluster.committed(partition)
    assert committed is not None
    world.cluster.append(LOG, b"a", b"x", partition=0)
    world.cluster.append(LOG, b"a", b"x", partition=0)
    world.cluster.reset_offset(partition, None if moved is None else committed + moved)
    world.start()
    with pytest.raises(ChainBrokenError, match="committed offset"):
        world.settle()


def forge(world: World, *records: tuple[bytes, bytes | None]) -> None:
    for key, value in records:
        world.cluster.append(CHANGELOG, key, value, partition=0)


def last_link(world: World) -> tuple[chain.Link, bytes]:
    link: chain.Link | None = None
    value = b""
    seen = 0
    for record in world.cluster.log(Partition(CHANGELOG, 0)).committed_records():
        if chain.is_commit_key(record.key or b""):
            value = record.value or b""
            link = chain.follow(link, value, records_seen=seen, is_whole=True)
            seen = 0
        else:
            seen += 1
    assert link is not None
    return link, value


def row(name: str) -> tuple[bytes, bytes]:
    return bytes([COUNTS.number]) + pack(name), b"\x92\x01\x00"


@pytest.mark.parametrize("disk", ["kept", "lost"])
@pytest.mark.parametrize("damage", ["fork", "gap", "repeat", "count", "torn", "epoch"])
def test_a_broken_chain_is_refused(damage: str, disk: str) -> None:
    world = settled_world()
    world.stop()
    if disk == "lost":
        world.lose_disk()
    link, last = last_link(world)

    def commit(on: chain.Link, *, records: int, epoch: int | None = None) -> tuple[bytes, bytes]:
        value, after = chain.next_commit(
            on,
            owner="zombie",
            epoch=link.epoch if epoch is None else epoch,
            log_offset=link.log_offset,
            log_time=link.log_time,
            changelog_records=records,
            output_records=0,
        )
        return chain.commit_key(after.sequence), value

    if damage == "fork":
        other = chain.Link(link.epoch, link.sequence, b"another digest!!", link.log_offset, link.log_time)
        forge(world, row("a"), commit(other, records=1))
    elif damage == "gap":
        forge(
            world,
            row("a"),
            commit(chain.Link(link.epoch, link.sequence + 1, link.digest, 0, 0), records=1),
        )
    elif damage == "repeat":
        forge(world, (chain.commit_key(link.sequence), last))
    elif damage == "count":
        forge(world, row("a"), row("b"), commit(link, records=1))
    elif damage == "torn":
        forge(world, row("a"))
    else:
        forge(world, row("a"), commit(link, records=1, epoch=link.epoch - 1))
    world.start()
    with pytest.raises(ChainBrokenError):
        world.settle()


def test_records_that_retention_removed_before_they_were_processed_stop_the_worker() -> None:
    world = settled_world()
    world.stop()
    fill(world)
    source = Partition("orders", 0)
    committed = world.cluster.committed(source)
    assert committed is not None
    world.cluster.log(source).delete_before(committed + 1)
    world.start()
    with pytest.raises(ConfigurationError, match="retention removed 1 "):
        world.settle()


def test_an_input_topic_that_was_recreated_stops_the_worker_instead_of_skipping_what_is_new() -> None:
    world = settled_world()
    world.stop()
    committed = {number: world.cluster.committed(Partition("orders", number)) for number in range(2)}
    world.cluster.delete_topic("orders")
    world.cluster.create_topic("orders", 2)
    for number, offset in committed.items():
        world.cluster.reset_offset(Partition("orders", number), offset)
    world.start()
    with pytest.raises(ConfigurationError, match="recreated"):
        world.settle()


def test_retention_of_what_was_processed_changes_nothing() -> None:
    world = settled_world()
    world.stop()
    for topic in ("orders", "scans"):
        for number in range(2):
            log = world.cluster.log(Partition(topic, number))
            log.delete_before(log.end)
    counted = world.outputs("b")
    committed = world.cluster.committed(Partition(LOG, 0))
    assert committed is not None
    world.cluster.log(Partition(LOG, 0)).delete_before(committed)
    world.start()
    world.send("b")
    world.settle()
    assert [*counted, f"seen {len(counted) + 1}"] == world.outputs("b")


def test_a_second_worker_of_the_same_name_fences_the_first() -> None:
    world = World()
    first = world.start("one")
    fill(world)
    world.settle()
    world.lose_disk()  # two processes on one directory would be refused by the store already
    second = world.start("one")
    fill(world)
    for _ in range(20):
        second.step()
    with pytest.raises(FencedError):
        first.step()


def test_a_worker_that_was_refused_its_offsets_forgets_what_it_computed() -> None:
    world = World(partitions=1)
    worker = world.start()
    fill(world)
    world.settle()
    fill(world)
    refused: list[int] = []

    def refuse(call: Call) -> Fault | None:
        if call.name == "producer.send_offsets" and len(refused) < 3:
            refused.append(1)
            raise TransientError("ILLEGAL_GENERATION")
        return None

    world.cluster.before_call = refuse
    world.settle()
    assert 3 == len(refused)
    assert worker.loop.is_settled
    world.check()


def test_a_worker_that_slept_while_it_took_over_believes_the_group_and_raises_no_alarm() -> None:
    world = World(partitions=1)
    world.start("one")
    fill(world)
    world.settle()
    world.kill("one")
    world.start("one").restorer._slice_records_max = 1000  # all within the step in which it sleeps
    slept: list[int] = []

    def sleep(call: Call) -> Fault | None:
        if call == ("one", "ends.ranges") and not slept:
            slept.append(1)
            world.cluster.freeze("one")
            world.start("two")
            for _ in range(120):
                world.step("two")
            fill(world)
            for _ in range(20):
                world.step("two")
            assert Partition(LOG, 0) in world.workers["two"].assignment.tasks
            world.cluster.thaw("one")
        return None

    world.cluster.before_call = sleep
    for _ in range(5):
        world.step("one")
    assert slept
    world.settle()
    world.check()
