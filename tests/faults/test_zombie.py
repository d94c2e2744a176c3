"""A worker sleeps through its session in the middle of a transaction, another one takes over, and it wakes.

It publishes nothing more than its due: either its transaction was ended without it, or the group refuses its offsets,
or, where its offsets were in the transaction already, its successor has waited for it. Then it exits with the code for
a fenced worker, or rejoins.
"""

from pathlib import Path

import pytest

from bostream.embedded import Broker
from bostream.stages.intake import INPUT_TOPICS
from tests.faults.matrix import Matrix, Row
from tests.integration.harness import Application, Worker
from tests.integration.harness_load import Load
from tests.integration.harness_oracle import judge

pytestmark = [pytest.mark.kafka, pytest.mark.kill, pytest.mark.timeout(600)]

FENCED = 7
SHORT_MS, LONG_MS = 3_000, 60_000
CHUNK = 100
PATIENCE_S = 0.2


@pytest.mark.parametrize(
    ("failpoint", "transaction_timeout_ms"),
    [
        pytest.param("C2:4:stop", SHORT_MS, id="before-begin"),
        pytest.param("C4:4:stop", SHORT_MS, id="timed-out-before-flush"),
        pytest.param("C6:4:stop", SHORT_MS, id="timed-out-before-commit"),
        pytest.param("C5:4:stop", LONG_MS, id="open-before-offsets"),
        pytest.param("C6:5:stop", LONG_MS, id="open-before-commit"),
        pytest.param("C7:4:stop", SHORT_MS, id="after-commit"),
    ],
)
def test_a_zombie_publishes_nothing_more_than_its_due(
    failpoint: str, transaction_timeout_ms: int, kafka: Broker, tmp_path: Path, matrix: Matrix
) -> None:
    point = failpoint.partition(":")[0]
    settings = {"engine.transaction_timeout_ms": transaction_timeout_ms}
    with Application(kafka, f"zombie-{point.lower()}", tmp_path, settings=settings) as application:
        application.create_topics()
        topics = [*(application.topic(name) for name in INPUT_TOPICS), application.documents, application.skus]
        everything = set(application.partitions(topics))
        load = Load(failpoint)

        load.feed(application, CHUNK)
        zombie = application.start("w1", failpoint)
        application.await_that(lambda: is_frozen(zombie), f"frozen at {failpoint}")
        waiting = application.count_unprocessed()
        successor = application.start("w2")
        application.await_that(lambda: application.members() == {"w2": everything}, "the group has moved on")
        load.feed(application, CHUNK)
        if transaction_timeout_ms == SHORT_MS:
            application.await_rest()  # all is done before the zombie wakes
        zombie.thaw()
        application.await_that(lambda: has_noticed(application, zombie), "the zombie exits or rejoins")

        load.feed(application, CHUNK)
        application.await_rest()
        exit_code = zombie.exit_code
        stopped = [worker.stop() for worker in (zombie, successor) if worker.is_running]
        assert exit_code in (None, FENCED)
        assert [0] * len(stopped) == stopped
        verdict = judge(application, tmp_path / "scratch")
        aborted = application.count_aborted()
        fate = "exited" if exit_code == FENCED else "rejoined"
        matrix.add(Row(f"{point} SIGSTOP, {transaction_timeout_ms // 1000} s, {fate}", 1, 1, waiting, aborted, verdict))
        assert verdict.is_good, "\n".join(verdict.findings)
        assert verdict.inputs == application.sent == 3 * CHUNK
        if point == "C5":
            assert aborted > 0, "the zombie had its records flushed, and the group refused its offsets"


def is_frozen(worker: Worker) -> bool:
    assert not worker.ends_within(PATIENCE_S), "the failpoint was to freeze it"
    return worker.is_frozen()


def has_noticed(application: Application, zombie: Worker) -> bool:
    return zombie.ends_within(PATIENCE_S) or "w1" in application.members()
