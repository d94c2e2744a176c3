"""The local store is a cache: gone, or an old copy of itself, it is brought up to the changelog again."""

import shutil
from pathlib import Path

import pytest

from bostream.embedded import Broker
from tests.faults.matrix import Matrix, Row
from tests.integration.harness import Application, Worker
from tests.integration.harness_load import Load
from tests.integration.harness_oracle import judge

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

CHUNK = 100


def test_a_lost_disk_and_an_old_copy_of_it_are_made_up_for(kafka: Broker, tmp_path: Path, matrix: Matrix) -> None:
    with Application(kafka, "disk", tmp_path) as application:
        application.create_topics()
        load = Load("disk")

        def work_a_while() -> Worker:
            worker = application.start("w1")
            load.feed(application, CHUNK)
            application.await_rest()
            assert 0 == worker.stop()
            return worker

        state = work_a_while().state
        old = tmp_path / "old"
        shutil.copytree(state, old)
        work_a_while()

        shutil.rmtree(state)
        shutil.copytree(old, state)
        work_a_while()
        verdict = judge(application, tmp_path / "with-the-old-copy", state)
        matrix.add(Row("old copy of the disk", 1, 0, 0, 0, verdict))
        assert verdict.is_good, "\n".join(verdict.findings)

        shutil.rmtree(state)
        work_a_while()
        verdict = judge(application, tmp_path / "with-nothing", state)
        matrix.add(Row("lost disk", 1, 0, 0, 0, verdict))
        assert verdict.is_good, "\n".join(verdict.findings)
        assert verdict.inputs == application.sent == 4 * CHUNK
