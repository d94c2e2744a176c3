"""The embedded Kafka as its users see it: real brokers, real clients, real kills."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bostream.embedded import Broker, EmbeddedKafka, choice, docker, kafka_for_tests
from bostream.embedded.artifacts import class_path, kafka_directory
from bostream.embedded.java import find_java
from bostream.embedded.jvm import Launcher
from bostream.embedded.probe import live_brokers
from bostream.embedded.properties import HOST
from bostream.errors import BrokerError
from tests.integration.kafka_clients import create_topic, read_committed, write_in_transaction

pytestmark = pytest.mark.kafka

NO_DOCKER = docker.why_unavailable()
PROCESS_END_TIMEOUT_S = 20.0


def port_of(bootstrap_servers: str) -> int:
    return int(bootstrap_servers.split(",", maxsplit=1)[0].rpartition(":")[2])


def test_a_transaction_commits_and_is_read_back(kafka: Broker) -> None:
    create_topic(kafka.bootstrap_servers, "embedded.round-trip")

    write_in_transaction(kafka.bootstrap_servers, "embedded.round-trip", b"hello")

    assert [b"hello"] == read_committed(kafka.bootstrap_servers, "embedded.round-trip", 1)


def test_a_stopped_kafka_leaves_no_process_no_port_and_no_directory() -> None:
    with EmbeddedKafka() as kafka:
        bootstrap_servers = kafka.bootstrap_servers
        process = psutil.Process(kafka.process_ids[1])
        directory = Path(process.cmdline()[-1]).parent.parent
        assert 1 == live_brokers(HOST, port_of(bootstrap_servers), 2.0)
        assert directory.is_dir()

    assert not process.is_running()
    assert 0 == live_brokers(HOST, port_of(bootstrap_servers), 2.0)
    assert not directory.exists()


def test_data_in_a_given_directory_outlives_the_broker(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with EmbeddedKafka(directory=tmp_path / "kept") as kafka:
        create_topic(kafka.bootstrap_servers, "kept")
        write_in_transaction(kafka.bootstrap_servers, "kept", b"still here")

    with EmbeddedKafka(directory=tmp_path / "kept") as kafka:
        assert [b"still here"] == read_committed(kafka.bootstrap_servers, "kept", 1)

    # Java answers SIGTERM with 143, which is no reason to say anything.
    assert "not in order" not in capfd.readouterr().err


def test_a_killed_broker_comes_back_on_its_port_with_its_data() -> None:
    with EmbeddedKafka() as kafka:
        before = kafka.bootstrap_servers
        create_topic(before, "crash")
        write_in_transaction(before, "crash", b"committed before the crash")

        kafka.kill(1)
        assert {} == kafka.process_ids
        kafka.restart(1)

        assert before == kafka.bootstrap_servers
        assert [b"committed before the crash"] == read_committed(before, "crash", 1)


def test_three_nodes_go_on_without_one_and_take_it_back() -> None:
    with EmbeddedKafka(nodes=3) as kafka:
        everyone = kafka.bootstrap_servers
        create_topic(everyone, "replicated")
        write_in_transaction(everyone, "replicated", b"with three")

        kafka.kill(2)
        write_in_transaction(everyone, "replicated", b"with two")
        kafka.restart(2)

        assert [1, 2, 3] == sorted(kafka.process_ids)
        assert 3 == live_brokers(HOST, port_of(everyone), 2.0)
        # Between two records of one partition lies the marker of the first transaction, which no reader sees.
        assert [b"with three", b"with two"] == read_committed(everyone, "replicated", 2)


@pytest.mark.kill
def test_nothing_outlives_an_owner_that_is_killed() -> None:
    program = (
        "import os, sys; from bostream.embedded import EmbeddedKafka; kafka = EmbeddedKafka(); kafka.start(); "
        "print(kafka.process_ids[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        broker = psutil.Process(int(owner.stdout.readline()))
        directory = Path(broker.cmdline()[-1]).parent.parent
        descendants = psutil.Process(owner.pid).children(recursive=True)
        assert broker in descendants

        owner.send_signal(signal.SIGKILL)
        owner.wait()
        _, alive = psutil.wait_procs(descendants, timeout=PROCESS_END_TIMEOUT_S)

    assert [] == alive
    assert not directory.exists()


def test_a_broker_that_cannot_start_says_why_and_leaves_nothing_behind(tmp_path: Path) -> None:
    kafka = EmbeddedKafka(directory=tmp_path, properties={"process.roles": "conductor"})

    with pytest.raises(BrokerError, match="conductor"):
        kafka.start()

    assert {} == kafka.process_ids


def test_a_damaged_ahead_of_time_cache_does_not_keep_kafka_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_path()
    prepared = kafka_directory()
    monkeypatch.setenv("BOSTREAM_CACHE_DIR", str(tmp_path))
    kafka_directory().mkdir()
    (kafka_directory() / "jars").symlink_to(prepared / "jars")
    shutil.copy(prepared / "classpath", kafka_directory())
    damaged = Launcher(find_java(), class_path(), heap_mb=256).aot_cache
    damaged.write_bytes(b"no cache at all" * 1000)

    with EmbeddedKafka() as kafka:
        assert 1 == live_brokers(HOST, port_of(kafka.bootstrap_servers), 2.0)


def test_the_second_start_needs_no_resolver_and_no_network() -> None:
    class_path()
    # An interpreter in which the resolver and its HTTP client cannot be imported at all.
    program = (
        "import sys; sys.modules.update({'jgo': None, 'requests': None}); "
        "from bostream.embedded.artifacts import class_path; print(class_path())"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    jars = answer.stdout.strip().split(os.pathsep)
    assert all(Path(jar).is_file() for jar in jars)
    assert f"{kafka_directory()}/jars/kafka_2.13-4.3.1.jar" in jars


def test_the_kafka_named_in_the_environment_is_used_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choice.BOOTSTRAP_VARIABLE, "kafka.example:9092")

    with kafka_for_tests() as broker:
        assert Broker("kafka.example:9092", "given") == broker


@pytest.mark.skipif(NO_DOCKER is not None, reason=f"Kafka in Docker: {NO_DOCKER}")
def test_kafka_in_docker_serves_a_transaction() -> None:
    with docker.kafka_container() as bootstrap_servers:
        create_topic(bootstrap_servers, "docker.round-trip")
        write_in_transaction(bootstrap_servers, "docker.round-trip", b"from a container")

        assert [b"from a container"] == read_committed(bootstrap_servers, "docker.round-trip", 1)


@pytest.mark.skipif(NO_DOCKER is not None, reason=f"Kafka in Docker: {NO_DOCKER}")
def test_docker_is_preferred_to_the_embedded_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(choice.BOOTSTRAP_VARIABLE, raising=False)

    with kafka_for_tests() as broker:
        assert "docker" == broker.kind


@pytest.mark.skipif(NO_DOCKER is None, reason="a Docker engine answers here, so it is preferred")
def test_without_docker_the_embedded_kafka_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(choice.BOOTSTRAP_VARIABLE, raising=False)

    with kafka_for_tests() as broker:
        assert "embedded" == broker.kind
