"""Batches that fail: what is dropped, what is tried again, what is dead-lettered, and what stops the worker."""

from itertools import pairwise

import pytest

from bostream.engine.collecting import Limits
from bostream.engine.ports import Partition
from bostream.errors import (
    BrokerError,
    ConfigurationError,
    CorruptStateError,
    FencedError,
    InDoubtError,
    InvariantError,
    TransientError,
)
from bostream.testing.cluster import Call, Fault
from tests.engine.world import CHANGELOG, INPUTS, LOG, World

TRANSACTION = ("begin", "produce", "flush", "send_offsets", "commit")


class Once:
    """A hook that lets something happen at the n-th call of one name."""

    def __init__(self, name: str, what: Fault | Exception, *, skip: int = 0) -> None:
        self.name = name
        self.what = what
        self.skip = skip
        self.happened = False
        self.calls: list[str] = []

    def __call__(self, call: Call) -> Fault | None:
        self.calls.append(call.name)
        if self.happened or call.name != self.name:
            return None
        if self.skip:
            self.skip -= 1
            return None
        self.happened = True
        if isinstance(self.what, Exception):
            raise self.what
        return self.what


@pytest.mark.parametrize("method", TRANSACTION)
@pytest.mark.parametrize("skip", [0, 1])
def test_a_transient_error_in_a_transaction_is_tried_again(method: str, skip: int) -> None:
    world = World()
    world.start()
    world.settle()
    for key in "abc":
        world.send(key, "timer 5")
    hook = Once(f"producer.{method}", TransientError("the test says so"), skip=skip)
    world.cluster.before_call = hook
    world.settle()
    assert hook.happened
    world.check()


@pytest.mark.parametrize("method", ["flush", "send_offsets", "produce", "begin"])
@pytest.mark.parametrize("fault", [Fault.LOST, Fault.DONE])
def test_after_a_timeout_the_producer_is_recycled_before_the_next_begin(method: str, fault: Fault) -> None:
    world = World()
    world.start()
    world.settle()
    world.send("a")
    hook = Once(f"producer.{method}", fault)
    world.cluster.before_call = hook
    world.settle()
    after = hook.calls[hook.calls.index(f"producer.{method}") + 1 :]
    lifecycle = [name for name in after if name in ("producer.init", "producer.begin")]
    if method != "produce":  # a record that times out only fails its delivery
        assert ["producer.init", "producer.begin"] == lifecycle[:2]
    world.check()


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.DONE, Fault.LATE])
def test_a_commit_that_is_not_answered_ends_the_worker_and_the_log_knows_the_outcome(fault: Fault) -> None:
    world = World()
    world.start()
    world.settle()
    world.send("a")
    world.cluster.before_call = Once("producer.commit", fault, skip=1)
    with pytest.raises(InDoubtError):
        world.settle()
    world.stop()
    again = world.start()
    world.cluster.deliver_late()
    world.settle()
    assert 0 == again.restorer.wipes
    world.check()


def test_a_second_request_of_a_retried_commit_cannot_end_the_next_transaction() -> None:
    world = World()
    world.start()
    world.settle()
    world.send("a")
    hook = Once("producer.commit", Fault.RETRIED)
    late: list[str] = []

    def deliver_late_within_the_next_transaction(call: Call) -> Fault | None:
        if hook.happened and call.name == "producer.flush" and not late:
            late.append(call.name)
            world.cluster.deliver_late()
        return hook(call)

    world.cluster.before_call = deliver_late_within_the_next_transaction
    world.settle()
    assert late
    world.check()


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.DONE, Fault.LATE])
def test_an_abort_that_is_not_answered_cannot_end_the_next_transaction(fault: Fault) -> None:
    world = World()
    world.start()
    world.settle()
    world.send("a")
    refused = Once("producer.send_offsets", TransientError("the test says so"))
    unanswered = Once("producer.abort", fault)
    late: list[str] = []

    def hook(call: Call) -> Fault | None:
        if unanswered.happened and call.name == "producer.flush" and not late:
            late.append(call.name)
            world.cluster.deliver_late()
        refused(call)
        return unanswered(call)

    world.cluster.before_call = hook
    world.settle()
    assert unanswered.happened
    assert late
    world.check()


def test_a_producer_that_cannot_be_recycled_at_once_is_recycled_later() -> None:
    world = World()
    world.start()
    world.settle()
    world.send("a")
    refused = Once("producer.send_offsets", TransientError("the test says so"))
    unanswered = Once("producer.abort", Fault.LOST)
    slow = Once("producer.init", Fault.DONE)
    world.cluster.before_call = lambda call: refused(call) or unanswered(call) or slow(call)
    world.settle()
    assert slow.happened
    world.check()


@pytest.mark.parametrize(
    "error", [FencedError("the test says so"), BrokerError("the test says so"), InvariantError("the test says so")]
)
def test_an_error_that_is_no_reason_to_try_again_ends_the_worker(error: Exception) -> None:
    world = World()
    world.start()
    world.settle()
    world.send("a")
    world.cluster.before_call = Once("producer.flush", error)
    with pytest.raises(type(error)):
        world.settle()
    assert [] == world.cluster.read_committed(LOG)


def test_the_wait_after_aborted_batches_grows_and_ends_with_success() -> None:
    world = World()
    worker = world.start()
    world.settle()
    world.send("a")
    aborts: list[float] = []

    def refuse(call: Call) -> Fault | None:
        if call.name == "producer.flush" and len(aborts) < 6:
            aborts.append(world.cluster.clock.monotonic_s())
            raise TransientError("the test says so")
        return None

    world.cluster.before_call = refuse
    world.settle()
    waits = [later - earlier for earlier, later in pairwise(aborts)]
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]
    assert worker.loop.is_settled
    world.check()


def test_a_batch_that_took_too_long_is_aborted_instead_of_committed() -> None:
    world = World(limits=Limits(max_poll_interval_s=10.0))
    worker = world.start()
    world.settle()
    world.send("a")
    slow = [True]

    def be_slow(point: str) -> None:
        if point == "C1" and slow:
            slow.clear()
            world.cluster.clock.advance(5.5)

    worker.failpoints.on_pass = be_slow
    world.settle()
    assert not slow
    assert 1 < worker.failpoints.passed.count("C1")
    assert "C2" not in worker.failpoints.passed[: worker.failpoints.passed.index("C1") + 2]
    world.check()


# --- one record that spoils a batch


@pytest.mark.parametrize("value", ["bad", "poison", "huge"])
def test_a_record_that_the_stage_cannot_process_is_dead_lettered_alone(value: str) -> None:
    world = World()
    world.start()
    world.settle()
    for number in range(20):
        world.send("abc"[number % 3], value if number == 11 else "x")
    world.settle()
    assert [value] == [text for text, _ in world.dead()]
    world.check()


@pytest.mark.parametrize("value", ["bad", "explode"])
def test_a_record_that_intake_cannot_process_is_dead_lettered_alone(value: str) -> None:
    world = World()
    world.start()
    for number in range(20):
        world.send("abc"[number % 3], value if number == 11 else "x")
    world.settle()
    assert [value] == [text for text, _ in world.dead()]
    world.check()


def test_what_an_aborted_batch_remembered_is_forgotten_with_it() -> None:
    world = World(partitions=1)
    world.start()
    world.settle()
    for key in "abcd":
        world.send(key)
    world.send("e", "huge")  # the batch is tried again in halves: the first knows nothing of the last keys
    world.settle()
    world.check()


def test_several_spoilers_among_good_records_are_found_one_by_one() -> None:
    world = World()
    world.start()
    values = ["x", "poison", "huge", "x", "bad", "huge", "x", "poison"]
    for turn in range(3):
        for number, value in enumerate(values):
            world.send("abcd"[(number + turn) % 4], value)
    world.settle()
    assert sorted(["bad", "huge", "huge", "poison", "poison"] * 3) == sorted(text for text, _ in world.dead())
    world.check()


def test_an_intake_record_too_large_for_the_log_is_found_while_internal_work_goes_on() -> None:
    world = World()
    world.start()
    world.settle()
    big = "y" * 999_950  # fits as it is; together with what intake adds it does not
    world.cluster.message_bytes_max = 2_000_000
    for number in range(10):
        world.send("ab"[number % 2], big if number == 4 else "x")
    world.cluster.message_bytes_max = 900_000
    world.settle()
    assert [big[:20]] == [text for text, _ in world.dead()]
    world.check()


def test_isolating_one_record_among_few_takes_few_batches() -> None:
    world = World()
    worker = world.start()
    world.settle()
    world.send("a", "huge")
    world.settle()
    assert worker.failpoints.passed.count("C3") < 8


def test_a_bug_stops_the_worker_and_commits_nothing() -> None:
    world = World()
    world.start()
    world.send("a", "bug")
    with pytest.raises(InvariantError):
        world.settle()
    assert [] == world.cluster.read_committed("counts")
    assert 0 == sum(world.cluster.committed(Partition(LOG, number)) or 0 for number in range(2))


def test_a_timer_that_fails_stops_the_worker_since_there_is_no_record_to_set_aside() -> None:
    world = World()
    world.start()
    world.send("a", "trap 5")
    world.settle()
    world.cluster.clock.advance(10)
    world.send("a")
    with pytest.raises(InvariantError):
        world.settle()


# --- the store


def test_a_store_that_fails_after_the_commit_is_restored_and_nothing_is_done_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    worker = world.start()
    world.settle()
    for key in "abcd":
        world.send(key)
    world.settle()
    failing = worker.stores.opened[Partition(CHANGELOG, 0)]
    calls: list[int] = []
    write = failing.write

    def fail_once(changes: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise CorruptStateError("the test says so")
        write(changes)  # type: ignore[arg-type]

    monkeypatch.setattr(failing, "write", fail_once)
    for key in "abcd":
        world.send(key)
    world.settle()
    assert calls
    world.check()


def test_a_store_that_cannot_be_read_is_restored_and_nothing_is_done_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(partitions=1)
    worker = world.start()
    world.send("a")
    world.settle()
    failing = worker.stores.opened[Partition(CHANGELOG, 0)]

    def fail(key: bytes) -> bytes | None:
        raise CorruptStateError("the test says so")

    worker.assignment.tasks[Partition(LOG, 0)].discard()  # objects in the cache would hide the store
    monkeypatch.setattr(failing, "get", fail)
    world.send("a")
    world.settle()
    assert 1 == worker.restorer.wipes
    assert ["seen 1", "seen 2"] == world.outputs("a")
    world.check()


def test_a_store_whose_timers_cannot_be_read_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(partitions=1)
    worker = world.start()
    world.send("a", "timer 3")
    world.settle()
    failing = worker.stores.opened[Partition(CHANGELOG, 0)]

    def fail(*_: object, **__: object) -> None:
        raise CorruptStateError("the test says so")

    worker.assignment.tasks[Partition(LOG, 0)].discard()
    monkeypatch.setattr(failing, "scan", fail)
    world.cluster.clock.advance(10)
    for _ in range(50):
        world.step()
    world.settle()
    assert ["seen 1", "rung 1"] == world.outputs("a")
    world.check()


def test_both_input_topics_arrive() -> None:
    world = World()
    world.start()
    for topic in INPUTS:
        world.send("a", topic=topic)
    world.settle()
    assert ["seen 1", "seen 2"] == world.outputs("a")
    world.check()


def test_a_spoiler_is_found_while_another_partition_is_always_busy() -> None:
    world = World(partitions=2, limits=Limits(batch_records_max=50))
    world.start()
    world.settle()
    world.cluster.append(LOG, b"z", b"huge", partition=1)
    world.cluster.append(LOG, b"z", b"x", partition=1)
    for _ in range(150):
        for _ in range(3):
            world.cluster.append(LOG, b"busy", b"x", partition=0)
        world.step()
    assert ["huge"] == [text for text, _ in world.dead()]
    assert ["seen 1"] == world.outputs("z")


def test_a_spoiler_of_intake_is_found_while_a_log_is_always_busy() -> None:
    world = World(partitions=2, limits=Limits(batch_records_max=50))
    world.start()
    world.settle()
    world.cluster.message_bytes_max = 2000
    world.cluster.append("orders", b"z", bytes(3000), partition=0)
    for _ in range(300):
        for _ in range(3):
            world.cluster.append(LOG, b"busy", b"x", partition=0)
        world.step()
    assert 1 == len(world.dead())


def test_batches_grow_again_once_the_spoiler_is_behind() -> None:
    world = World(partitions=1)
    worker = world.start()
    world.settle()
    for number in range(200):
        world.cluster.append(LOG, b"k", b"huge" if number == 100 else b"x", partition=0)
    world.settle()
    assert ["huge"] == [text for text, _ in world.dead()]
    assert worker.failpoints.passed.count("C7") < 30


def test_a_dead_letter_that_is_refused_too_stops_the_worker() -> None:
    world = World(partitions=1)
    world.start()
    world.settle()
    world.cluster.append(LOG, b"k" * 3000, b"x", partition=0)
    world.cluster.message_bytes_max = 2000
    with pytest.raises(ConfigurationError, match="dead letter"):
        world.settle()
