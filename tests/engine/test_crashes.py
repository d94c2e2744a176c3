"""A worker dies at any numbered step; a successor goes on; nothing is lost, doubled or left torn."""

import pytest

from bostream.engine.ports import Partition
from bostream.testing.cluster import SimulatedCrash
from tests.engine.world import CHANGELOG, LOG, World

POINTS = ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7")
KEYS = tuple("abcdef")


def fill(world: World, rounds: int) -> None:
    for number in range(rounds):
        for key in KEYS:
            world.send(key, f"timer {number}" if key == "a" else "x", topic=("orders", "scans")[number % 2])


def crash(world: World, name: str = "one") -> None:
    for _ in range(1000):
        try:
            world.step(name)
        except SimulatedCrash:
            return
    pytest.fail("it did not crash")


@pytest.mark.parametrize("passes", [0, 1, 2, 3])
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("disk", ["kept", "lost"])
def test_a_crash_at_any_step_loses_and_doubles_nothing(point: str, passes: int, disk: str) -> None:
    world = World()
    fill(world, 2)
    worker = world.start()
    world.settle()
    fill(world, 3)
    worker.failpoints.crash_at, worker.failpoints.passes_left = point, passes
    if point == "C0" or passes < 2:
        crash(world)
    else:
        for _ in range(passes):  # one batch of intake, one of the log, for each filling
            fill(world, 1)
            for _ in range(20):
                if "one" in world.workers:
                    try:
                        world.step()
                    except SimulatedCrash:
                        break
        assert "one" not in world.workers
    if disk == "lost":
        world.lose_disk()
    world.start()
    fill(world, 1)
    world.settle()
    world.check()


@pytest.mark.parametrize("point", POINTS)
def test_another_worker_takes_over_after_a_crash_at_any_step(point: str) -> None:
    world = World()
    fill(world, 2)
    worker = world.start("one")
    world.start("two")
    world.settle()
    fill(world, 3)
    worker.failpoints.crash_at = point
    for _ in range(100):
        if "one" not in world.workers:
            break
        for name in tuple(world.workers):
            try:
                world.step(name)
            except SimulatedCrash:
                assert "one" == name
    assert "one" not in world.workers
    world.settle("two")
    fill(world, 1)
    world.settle()
    world.check()


@pytest.mark.parametrize("point", POINTS[1:])
def test_a_crash_before_the_first_commit_of_all_leaves_a_world_that_begins_anew(point: str) -> None:
    world = World()
    fill(world, 1)
    worker = world.start()
    worker.failpoints.crash_at = point
    crash(world)
    world.start()
    world.settle()
    world.check()


def test_after_a_crash_between_commit_and_store_the_log_brings_exactly_the_missing_records() -> None:
    world = World(partitions=1)
    worker = world.start()
    world.send("a")
    world.settle()
    world.send("a")
    world.step()  # intake
    worker.failpoints.crash_at = "C7"
    crash(world)
    again = world.start()
    world.settle()
    assert 0 == again.restorer.wipes
    assert ["seen 1", "seen 2"] == world.outputs("a")
    world.check()


def test_a_crash_while_restoring_begins_again_where_the_store_stands() -> None:
    world = World(partitions=1)
    world.start()
    for number in range(30):
        world.send(f"k{number}")
        world.settle()
    world.kill()
    world.lose_disk()
    restoring = world.start()
    while not restoring.restorer.is_busy:
        world.step()
    world.step()
    assert restoring.restorer.is_busy
    world.kill()
    world.start()
    world.settle()
    world.check()


def test_many_crashes_in_a_row_do_not_matter() -> None:
    world = World()
    for turn in range(24):
        worker = world.start()
        fill(world, 1)
        worker.failpoints.crash_at = POINTS[turn % len(POINTS)]
        crash(world)
        if turn % 5 == 4:
            world.lose_disk()
    world.start()
    world.settle()
    world.check()
    assert set(world.workers["one"].assignment.tasks) == {Partition(LOG, 0), Partition(LOG, 1)}
    assert world.cluster.read_committed(CHANGELOG)
