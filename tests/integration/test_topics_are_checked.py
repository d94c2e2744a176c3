"""Topics that would break the guarantee: ``bostream init --check`` tells, and a worker refuses to start."""

from pathlib import Path

import msgspec
import pytest

from bostream.cli.wiring import topic_specs
from bostream.embedded import Broker
from tests.integration.harness import Application

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def test_an_internal_log_with_another_partition_count_is_refused_with_the_remedy(kafka: Broker, tmp_path: Path) -> None:
    with Application(kafka, "refused", tmp_path, partitions=2) as application:
        specs = topic_specs(application.settings, application.cluster.brokers())
        application.cluster.create(
            msgspec.structs.replace(spec, partitions=3) if spec.name == application.skus else spec for spec in specs
        )

        checked = application.bostream("init", "--check")
        assert 3 == checked.returncode, checked.stdout
        for words in (application.skus, "partitions", "set engine.partitions"):
            assert words in checked.stderr
        assert 3 == application.bostream("init").returncode, "init changes no topic that exists"
        assert 3 == application.cluster.describe([application.skus])[application.skus].partitions

        worker = application.start("w1")
        assert 3 == worker.await_end()
        told = worker.log.read_text()
        assert f"{application.skus}: partitions is 3, must be 2; set engine.partitions to the count" in told
        assert not worker.state.exists(), "a worker that refuses to start makes no store"


def test_a_missing_topic_is_refused_with_the_remedy(kafka: Broker, tmp_path: Path) -> None:
    with Application(kafka, "missing", tmp_path, partitions=2) as application:
        checked = application.bostream("init", "--check")
        assert 3 == checked.returncode
        assert "run `bostream init` to create it" in checked.stderr
        assert {} == application.cluster.describe([application.skus]), "a check creates nothing"
        worker = application.start("w1")
        assert 3 == worker.await_end()
        assert "run `bostream init` to create it" in worker.log.read_text()
