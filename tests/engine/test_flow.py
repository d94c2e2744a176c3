"""What flows when nothing fails: order of intake, back-pressure, bounds of batches, ticks and timers."""

from bostream.engine.collecting import Limits
from bostream.engine.ports import Output, Partition
from bostream.errors import TransientError
from bostream.testing.cluster import Call, Fault
from tests.engine.world import INPUTS, LOG, OUT, SECOND, World


def log_values(world: World) -> list[str]:
    records = [record for record in world.cluster.read_committed(LOG) if record.key is not None]
    return [(record.value or b"").decode() for record in records]


def test_intake_merges_its_partitions_by_timestamp() -> None:
    world = World(partitions=1)
    start = world.cluster.clock.now()
    expected = []
    for number in range(40):
        moment = start + number * 1000
        world.cluster.append(
            INPUTS[number % 2], b"k", str(number).encode(), partition=number // 2 % 2, timestamp=moment
        )
        expected.append(str(number))
    world.start()
    world.settle()
    assert expected == log_values(world)


def test_intake_merges_by_timestamp_when_a_fetch_brings_one_partition_at_a_time() -> None:
    world = World(partitions=1, limits=Limits(batch_records_max=10))
    start = world.cluster.clock.now()
    for number in range(100):
        world.cluster.append(
            INPUTS[number % 2],
            b"k",
            str(number).encode(),
            partition=number // 2 % 2,
            timestamp=start + number * 1000,
        )
    world.start()
    world.settle()
    assert [str(number) for number in range(100)] == log_values(world)


def test_an_input_that_only_has_a_marker_to_come_holds_up_the_others_for_a_bounded_time() -> None:
    world = World()
    world.start()
    world.settle()
    producer = world.cluster.producer_factory("upstream")()
    producer.begin()
    producer.produce(Output("orders", b"a", b"x", 0))
    producer.commit()
    world.settle()
    before = world.cluster.clock.monotonic_s()
    world.send("a", topic="scans")
    world.settle()
    assert world.cluster.clock.monotonic_s() - before < 1.0
    world.check()


def held_back_world() -> tuple[World, str]:
    """A world in which one worker is frozen, far behind with its log, and the other, named, has input waiting."""
    world = World(partitions=2, limits=Limits(intake_lag_max=5))
    world.start("one")
    world.start("two")
    world.settle()
    for _ in range(20):
        world.cluster.append(LOG, b"k", b"x", partition=next(iter(world.workers["one"].assignment.tasks)).number)
    for number in range(2):
        for topic in INPUTS:
            world.cluster.append(topic, b"held", b"x", partition=number)
    world.cluster.freeze("one")
    for _ in range(3):
        world.step("two")
    return world, "two"


def test_intake_waits_while_a_log_is_far_behind() -> None:
    world, held_back = held_back_world()
    worker = world.workers[held_back]
    assert worker.pending.has_any(worker.assignment.inputs)
    assert all(record.key != b"held" for record in world.cluster.read_committed(LOG))
    world.cluster.thaw("one")
    world.settle()
    assert 4 == sum(record.key == b"held" for record in world.cluster.read_committed(LOG))


def test_a_worker_that_is_held_back_does_not_spin() -> None:
    world, held_back = held_back_world()
    before = world.cluster.clock.monotonic_s()
    for _ in range(10):
        assert not world.step(held_back)
    assert 0.5 < world.cluster.clock.monotonic_s() - before


def test_a_partition_with_enough_records_in_hand_is_paused_and_goes_on_later() -> None:
    world = World(partitions=1, limits=Limits(pending_records_max=20, batch_records_max=15, intake_lag_max=10))
    worker = world.start()
    for number in range(300):
        world.cluster.append("orders", b"k", str(number).encode(), partition=0)
    most = 0
    for _ in range(600):
        world.step()
        most = max(most, worker.pending.count(Partition("orders", 0)))
    world.settle()
    assert most <= 20 + 15
    assert 300 == len(log_values(world))
    world.check()


def test_a_batch_takes_no_more_records_than_it_may() -> None:
    world = World(partitions=1, limits=Limits(batch_records_max=10))
    world.start()
    for number in range(95):
        world.cluster.append("orders", b"k", str(number).encode(), partition=0)
    world.settle()
    sizes = [
        sum(1 for value in world.outputs("k") if value.startswith("seen")),
    ]
    assert [95] == sizes
    positions = [r for r in world.cluster.read_committed(OUT) if (r.value or b"").startswith(b"position")]
    assert len(positions) >= 10  # one for each batch of the log
    world.check()


def test_an_idle_worker_waits_instead_of_spinning() -> None:
    world = World()
    worker = world.start()
    world.settle()
    before = world.cluster.clock.monotonic_s()
    for _ in range(10):
        assert not worker.step()
    assert 0.9 < world.cluster.clock.monotonic_s() - before


def test_a_timer_on_an_idle_partition_rings_by_a_tick() -> None:
    world = World()
    world.start()
    world.send("a", "timer 5")
    world.settle()
    assert ["seen 1"] == world.outputs("a")
    for _ in range(100):
        world.step()
    world.settle()
    assert ["seen 1", "rung 1"] == world.outputs("a")
    ticks = [record for record in world.cluster.read_committed(LOG) if record.key is None]
    assert 1 == len(ticks)
    world.check()


def test_a_tick_whose_batch_was_aborted_is_appended_again() -> None:
    world = World()
    world.start()
    world.send("a", "timer 5")
    world.settle()
    refused: list[int] = []

    def refuse(call: Call) -> Fault | None:
        if call.name == "producer.flush" and not refused:
            refused.append(1)
            raise TransientError("the test says so")
        return None

    world.cluster.before_call = refuse
    for _ in range(100):
        world.step()
    assert refused
    assert ["seen 1", "rung 1"] == world.outputs("a")
    world.check()


def test_a_timer_rings_before_the_record_that_passes_it() -> None:
    world = World(partitions=1)
    world.start()
    now = world.cluster.clock.now()
    world.send("a", "timer 5", at=now)
    world.settle()
    world.cluster.append(LOG, b"a", b"x", partition=0, timestamp=now + 6 * SECOND)
    world.settle()
    assert ["seen 1", "rung 1", "seen 2"] == world.outputs("a")
    world.check_outputs()
    world.check_state()


def test_a_restart_with_a_timer_pending_neither_forgets_nor_repeats_it() -> None:
    for disk in ("kept", "lost"):
        world = World()
        world.start()
        world.send("a", "timer 5")
        world.settle()
        world.kill()
        if disk == "lost":
            world.lose_disk()
        world.start()
        for _ in range(100):
            world.step()
        world.kill()
        world.start()
        for _ in range(100):
            world.step()
        world.settle()
        assert ["seen 1", "rung 1"] == world.outputs("a")
        world.check()


def test_what_a_partition_publishes_once_per_batch_comes_last() -> None:
    world = World(partitions=1)
    world.start()
    world.settle()
    for _ in range(3):
        world.send("a")
    world.settle()
    values = [(record.value or b"").decode() for record in world.cluster.read_committed(OUT)]
    assert ["seen 1", "seen 2", "seen 3", "position 3"] == values


def test_a_partition_that_is_always_busy_does_not_starve_the_others() -> None:
    world = World(partitions=2, limits=Limits(batch_records_max=10))
    world.start()
    world.settle()
    world.cluster.append(LOG, b"z", b"x", partition=1)
    for _ in range(20):
        for _ in range(15):
            world.cluster.append(LOG, b"busy", b"x", partition=0)
        world.step()
    assert ["seen 1"] == world.outputs("z")
