"""Starts, kills and stops the nodes of an embedded Kafka.

What must stay true: every node is a child process, known and ended by its process id; return code 143 (ended by
SIGTERM) is a clean stop; a start either leaves a cluster in which every broker answers, or nothing at all.
"""

import base64
import contextlib
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from bostream.embedded import probe, watchdog
from bostream.embedded.artifacts import KAFKA_VERSION, class_path
from bostream.embedded.java import find_java
from bostream.embedded.jvm import Launcher
from bostream.embedded.ports import free_addresses
from bostream.embedded.progress import say
from bostream.embedded.properties import HOST, Address, render, server_properties
from bostream.errors import BrokerError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
# Nobody will read a temporary directory again, so the last nodes need not wait for a quorum that is gone.
STOP_TEMPORARY_TIMEOUT_S = 3.0
AOT_STOP_TIMEOUT_S = 120.0

_START_TRIES_MAX = 3
_PROBE_INTERVAL_S = 0.05
_PROBE_TIMEOUT_S = 2.0
_LOG_TAIL_LINES = 8
_ENDED_BY_SIGTERM = (0, 143, -signal.SIGTERM)


class EmbeddedKafka:
    """A real Kafka on free ports of 127.0.0.1; a context manager.

    Args:
        nodes: 1, or 3 for a cluster with replication factor 3 and two in-sync replicas.
        directory: where the data is kept; None: a temporary directory, removed at the end.
        heap_mb: heap of each node; 256 carries some hundred thousand small messages a second.
        properties: further broker properties; they win over ours.
        is_for_load: let Java compile well instead of quickly: for benchmarks, whose brokers work for minutes.
        start_timeout_s: how long all brokers may take until they answer.
    """

    def __init__(
        self,
        nodes: int = 1,
        directory: Path | None = None,
        *,
        heap_mb: int = 256,
        properties: Mapping[str, str] | None = None,
        is_for_load: bool = False,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        if nodes not in (1, 3):
            raise ValueError(f"nodes must be 1 or 3, not {nodes}: two cannot outvote one that is gone")
        self._nodes_count = nodes
        self._given_directory = directory
        self._heap_mb = heap_mb
        self._properties = dict(properties or {})
        self._is_for_load = is_for_load
        self._start_timeout_s = start_timeout_s
        self._directory: Path | None = None
        self._nodes: list[_Node] = []
        self._watchdog: _Watchdog | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Return ``host:port`` of every node, separated by commas."""
        return ",".join(f"{HOST}:{node.address.client_port}" for node in self._nodes)

    @property
    def process_ids(self) -> dict[int, int]:
        """Return node number → process id of the nodes that run."""
        return {node.address.node: node.process_id for node in self._nodes if node.is_running}

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def start(self, aot_output: Path | None = None) -> None:
        """Start every node and wait until each broker answers and knows all others.

        Args:
            aot_output: write an ahead-of-time cache there when the nodes stop (a training run).

        Raises:
            BrokerError: Kafka could not be fetched, or did not start; nothing is left running.
        """
        if self._nodes:
            raise BrokerError("this embedded Kafka runs already: call stop() before another start().")
        launcher = Launcher(find_java(), class_path(), self._heap_mb, is_for_load=self._is_for_load)
        for attempt in range(1, _START_TRIES_MAX + 1):
            try:
                self._start_once(launcher, aot_output)
            except _NodeEndedError as error:
                self.stop()
                # An unusable ahead-of-time cache or a port that was taken meanwhile: both are gone at the next try.
                launcher.forget_aot_cache()
                if attempt == _START_TRIES_MAX:
                    raise BrokerError(str(error)) from error
            except BaseException:
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """End every node and remove the directory when it is temporary; harmless when nothing runs."""
        is_temporary = self._given_directory is None
        deadline = time.monotonic() + (STOP_TEMPORARY_TIMEOUT_S if is_temporary else STOP_TIMEOUT_S)
        self._end_nodes(deadline)
        if not is_temporary:
            self._tell_unclean_ends()
        self._nodes = []
        if self._directory is not None and is_temporary:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = None
        if self._watchdog is not None:
            self._watchdog.quit()
            self._watchdog = None

    def stop_training(self) -> None:
        """End the nodes of a training run, which write their ahead-of-time cache while they end: some ten seconds."""
        self._end_nodes(time.monotonic() + AOT_STOP_TIMEOUT_S)
        self.stop()

    def kill(self, node: int) -> None:
        """End a node by ``kill -9``, as a crash would."""
        self._node(node).crash()

    def pause(self, node: int) -> None:
        """Freeze a node (SIGSTOP), as an overloaded machine would."""
        self._node(node).send(signal.SIGSTOP)

    def resume(self, node: int) -> None:
        """Let a frozen node go on (SIGCONT)."""
        self._node(node).send(signal.SIGCONT)

    def restart(self, node: int) -> None:
        """Start a node that was killed; stop it first, in order, when it still runs. Waits until it answers.

        Raises:
            BrokerError: it did not start.
        """
        chosen = self._node(node)
        if chosen.is_running:
            chosen.terminate()
            chosen.await_end(time.monotonic() + STOP_TIMEOUT_S)
        chosen.start()
        others = sum(1 for each in self._nodes if each.is_running)
        try:
            self._await_brokers([chosen], others)
        except _NodeEndedError as error:
            raise BrokerError(str(error)) from error

    def _start_once(self, launcher: Launcher, aot_output: Path | None) -> None:
        directory = self._given_directory or Path(tempfile.mkdtemp(prefix="bostream-kafka-"))
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory.resolve()
        self._watchdog = _Watchdog()
        if self._given_directory is None:
            self._watchdog.remove(self._directory)
        bootstrap = launcher.bootstrap_checkpoint()
        cluster = _cluster_of(self._directory) or _random_id()
        addresses = free_addresses(self._nodes_count)
        for address in addresses:
            place = self._directory / f"node-{address.node}"
            properties = server_properties(address, addresses, str(place / "data")) | self._properties
            _format(place / "data", address.node, cluster, bootstrap)
            (place / "server.properties").write_text(render(properties), encoding="utf-8")
            node = _Node(address, place, launcher.command(place / "server.properties", aot_output), self._watchdog)
            self._nodes.append(node)
            node.start()
        self._await_brokers(self._nodes, self._nodes_count)

    def _await_brokers(self, asked: Sequence["_Node"], expected: int) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        for node in asked:
            while probe.live_brokers(HOST, node.address.client_port, _PROBE_TIMEOUT_S) < expected:
                node.check_running()
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"embedded Kafka: node {node.address.node} did not answer within "
                        f"{self._start_timeout_s:.0f} s. The machine may be overloaded, "
                        f"or short of memory (each node takes about 250 MB). "
                        f"Its last words:\n{node.last_words()}"
                    )
                time.sleep(_PROBE_INTERVAL_S)

    def _end_nodes(self, deadline: float) -> None:
        for node in self._nodes:
            node.terminate()
        for node in self._nodes:
            node.await_end(deadline)

    def _tell_unclean_ends(self) -> None:
        for node in self._nodes:
            if not node.ended_as_asked:
                say(
                    f"embedded Kafka: node {node.address.node} ended with return code {node.return_code}, "
                    f"not in order; it recovers at its next start. Its log: {node.log}"
                )

    def _node(self, number: int) -> "_Node":
        for node in self._nodes:
            if node.address.node == number:
                return node
        raise ValueError(f"there is no node {number}: this Kafka has {[each.address.node for each in self._nodes]}")


class _NodeEndedError(Exception):
    """A node ended by itself before it answered."""


class _Node:
    """One process, restarted on the same ports with the same data."""

    def __init__(self, address: Address, place: Path, command: Sequence[str], guard: "_Watchdog") -> None:
        self.address = address
        self.log = place / "broker.log"
        self._command = list(command)
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None
        self._is_kill_wanted = False

    @property
    def return_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    @property
    def ended_as_asked(self) -> bool:
        """Whether it ended by SIGTERM (Java answers 143), or by a kill that was the point."""
        return self._is_kill_wanted or self.return_code in _ENDED_BY_SIGTERM

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int:
        if self._process is None:
            raise BrokerError(f"embedded Kafka: node {self.address.node} was never started.")
        return self._process.pid

    def start(self) -> None:
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches the owner alone, which ends the brokers after their clients.
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._is_kill_wanted = False
        self._guard.started(self._process.pid, self.log.parent)

    def check_running(self) -> None:
        if not self.is_running and self._process is not None:
            raise _NodeEndedError(
                f"embedded Kafka {KAFKA_VERSION}: node {self.address.node} ended with return code "
                f"{self._process.returncode} instead of starting. Its last words:\n{self.last_words()}\n"
                "If the data directory is of another Kafka version, choose an empty one."
            )

    def last_words(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "(it wrote no log)"
        telling = [line for line in lines if "ERROR" in line or "Exception" in line or "error" in line] or lines
        return "\n".join(telling[-_LOG_TAIL_LINES:]) or "(it wrote nothing)"

    def send(self, what: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(what)

    def crash(self) -> None:
        self._is_kill_wanted = True
        self.kill()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._guard.ended(self._process.pid)

    def terminate(self) -> None:
        if self.is_running:
            self.send(signal.SIGTERM)
            # A frozen process would never see it.
            self.send(signal.SIGCONT)

    def await_end(self, deadline: float) -> None:
        """Wait for the end that was asked for; insist on it at the deadline."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
        else:
            self._guard.ended(self._process.pid)


class _Watchdog:
    """Our end of the pipe to :mod:`bostream.embedded.watchdog`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(watchdog.__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def started(self, process: int, directory: Path) -> None:
        self._tell(f"start {process} {directory}")

    def ended(self, process: int) -> None:
        self._tell(f"end {process}")

    def remove(self, directory: Path) -> None:
        self._tell(f"remove {directory}")

    def quit(self) -> None:
        self._tell("quit")
        with contextlib.suppress(OSError):
            self._pipe.close()
        self._process.wait()

    @property
    def _pipe(self) -> IO[bytes]:
        if self._process.stdin is None:
            raise BrokerError("embedded Kafka: the watchdog has no pipe.")
        return self._process.stdin

    def _tell(self, line: str) -> None:
        # A watchdog that is gone must not take the broker with it: it only matters when we die.
        with contextlib.suppress(OSError):
            self._pipe.write(f"{line}\n".encode())
            self._pipe.flush()


def _random_id() -> str:
    """Return an identity as Kafka writes them: 16 bytes in URL-safe Base64, never beginning like an option."""
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _cluster_of(directory: Path) -> str | None:
    """Return the cluster id that a kept directory was formatted with: every node must carry the same."""
    for properties in sorted(directory.glob("node-*/data/meta.properties")):
        for line in properties.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            if name == "cluster.id":
                return value
    return None


def _format(data: Path, node: int, cluster: str, bootstrap: bytes) -> None:
    """Do what Kafka's storage tool does, without starting a JVM; its bootstrap file was made by the real tool."""
    if (data / "meta.properties").is_file():
        return
    data.mkdir(parents=True, exist_ok=True)
    (data / "bootstrap.checkpoint").write_bytes(bootstrap)
    (data / "meta.properties").write_text(
        f"version=1\ncluster.id={cluster}\nnode.id={node}\ndirectory.id={_random_id()}\n", encoding="utf-8"
    )
