"""kill -9 at each step of the transaction loop, under load: nothing is lost, nothing doubled, all copies agree.

Three rounds for each step, each with records waiting: a worker dies, dies again over the disk that its first death left
behind, and dies beside another worker that takes everything over. A failpoint makes it kill itself at the exact step.
"""

import signal
from pathlib import Path

import pytest

from bostream.contract.topics import changelog
from bostream.embedded import Broker
from bostream.engine.ports import Partition
from tests.faults.matrix import Matrix, Row
from tests.integration.harness import Application, Worker
from tests.integration.harness_load import Load
from tests.integration.harness_oracle import judge, stored_position

pytestmark = [pytest.mark.kafka, pytest.mark.kill, pytest.mark.timeout(900)]

PASSES = {
    # C0 is passed at every turn of the loop, also of an idle one: late enough to have work
    "C0": (15, 25, 60),
    "C1": (3, 5, 14),
    "C2": (2, 6, 12),
    "C3": (4, 5, 13),
    "C4": (3, 6, 15),
    "C5": (5, 2, 12),
    "C6": (2, 5, 14),
    "C7": (4, 3, 13),
}
"""The pass of each step at which the worker of each round dies; the last so late that it shares the work by then."""

CHUNK = 100
MORE = 20
PATIENCE_S = 0.5


class Round:
    """One application that goes through the rounds of one step."""

    def __init__(self, application: Application, load: Load) -> None:
        self.kills = 0
        self.waiting = 0
        self._application = application
        self._load = load

    def run(self, victim: Worker) -> None:
        """Feed until the victim is dead: more only when it has nothing to do."""

        def is_dead() -> bool:
            if victim.ends_within(PATIENCE_S):
                return True
            if self._application.is_at_rest():
                self._load.feed(self._application, MORE)
            return False

        self._application.await_that(is_dead, f"{victim} kills itself")
        assert -signal.SIGKILL == victim.exit_code
        self.kills += 1
        self.waiting += self._application.count_unprocessed()


@pytest.mark.parametrize("point", PASSES)
def test_a_worker_killed_at_any_step_loses_and_doubles_nothing(
    point: str, kafka: Broker, tmp_path: Path, matrix: Matrix
) -> None:
    first, second, third = PASSES[point]
    with Application(kafka, f"kill-{point.lower()}", tmp_path) as application:
        application.create_topics()
        load = Load(point)
        rounds = Round(application, load)

        load.feed(application, CHUNK)
        victim = application.start("w1", f"{point}:{first}")
        rounds.run(victim)
        check_what_the_first_death_left(point, application, victim, tmp_path / "first")

        load.feed(application, CHUNK)
        rounds.run(application.start("w1", f"{point}:{second}"))

        load.feed(application, CHUNK)
        victim, survivor = application.start("w1", f"{point}:{third}"), application.start("w2")
        rounds.run(victim)

        load.feed(application, CHUNK)
        application.await_rest()
        assert 0 == survivor.stop()
        verdict = judge(application, tmp_path / "scratch", survivor.state)
        aborted = application.count_aborted()
        matrix.add(Row(f"{point} kill -9", 3, rounds.kills, rounds.waiting, aborted, verdict))
        assert verdict.is_good, "\n".join(verdict.findings)
        assert rounds.waiting > 0, "no record waited when the workers died: that was no load"
        assert verdict.inputs == application.sent
        if point in ("C5", "C6"):
            assert aborted > 0, "a worker died with its records flushed, so the topics must have aborted ones"


def check_what_the_first_death_left(point: str, application: Application, victim: Worker, scratch: Path) -> None:
    """See that the process died where it should: only after C6 does the changelog have what the store lacks."""
    scratch.mkdir()
    behind = 0
    for log in (application.documents, application.skus):
        ends = {record.partition: record.offset + 1 for record in application.read(changelog(log))}
        for number in range(application.settings.engine.partitions):
            stored = stored_position(victim.state, Partition(log, number), scratch)
            committed = ends.get(number, 0)
            assert stored <= committed, f"the store of {log}/{number} is ahead of Kafka"
            behind += stored < committed
    if point == "C7":
        assert behind > 0, "a transaction was committed and not written to any store"
    elif point in ("C1", "C2", "C3", "C4", "C5", "C6"):
        assert 0 == behind, "the stores lack what was committed before the last transaction"
