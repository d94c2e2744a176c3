"""An application on a real Kafka for one test: its topics, its workers as processes, and waits that end.

What must stay true: nothing here waits for time to pass; every wait ends when records or offsets say so, and its upper
bound is only there so that a hanging test ends. A worker is ended by its process id. Whatever makes a test fail, the
logs of its workers are printed with it.
"""

import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition

from bostream.adapters.kafka.admin import KafkaTopics
from bostream.adapters.kafka.logs import KafkaLogReader
from bostream.adapters.kafka.reading import TopicReader
from bostream.cli.wiring import connection, reader_settings, topic_specs
from bostream.contract.codec import RecordReader, json_writer, single_object_writer
from bostream.contract.deadletter import dead_letter_topic
from bostream.contract.records import INPUT_RECORDS, OUTPUT_RECORDS, InputRecord
from bostream.contract.schemas import load_schemas
from bostream.contract.topics import documents_log, public_topic, skus_log
from bostream.embedded import Broker
from bostream.engine.ports import Headers, Partition, Record
from bostream.settings import load_settings
from bostream.stages.intake import INPUT_TOPICS

DEADLINE_S = 180.0
"""Upper bound of every wait: far above what a slow machine needs."""

_POLL_S = 0.1
_CALL_TIMEOUT_S = 30.0
_LOG_TAIL_CHARACTERS = 6_000

# The client of a test outlives the broker by a moment, and says so.
_SILENT = logging.getLogger("tests.kafka")
_SILENT.setLevel(logging.CRITICAL)

SCHEMAS = load_schemas()
TOPIC_OF = {INPUT_RECORDS[topic]: topic for topic in INPUT_RECORDS}

QUICK: Mapping[str, Any] = {
    # short enough that a takeover takes seconds
    "engine.session_timeout_ms": 3000,
    "engine.heartbeat_ms": 300,
    "engine.transaction_timeout_ms": 3000,
    "engine.max_poll_interval_ms": 60_000,
    # small batches: a few hundred records are dozens of transactions
    "engine.batch_records_max": 20,
    "rules.notice_window_ms": 200,
}


class Worker:
    """One ``bostream worker`` as a process of its own."""

    def __init__(self, command: Sequence[str], log: Path, state: Path) -> None:
        self.log = log
        self.state = state
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BOSTREAM_")}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bostream", "worker", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
            )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Negative: the signal that ended it."""
        return self._process.poll()

    def ends_within(self, timeout_s: float) -> bool:
        """Wait for its end, at most so long; tell whether it came."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def await_end(self) -> int:
        """Return its exit code once it ended by itself."""
        if not self.ends_within(DEADLINE_S):
            raise AssertionError(f"{self.log.name}: still running after {DEADLINE_S:.0f} s")
        return self._process.returncode

    def is_frozen(self) -> bool:
        """Tell, once, whether SIGSTOP reached it."""
        found = os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOHANG)
        return found is not None and found.si_status == signal.SIGSTOP

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self._process.terminate()

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self.terminate()
        return self.await_end()

    def end_now(self) -> None:
        """End it whatever it does."""
        if self.is_running:
            self._process.kill()
            self._process.send_signal(signal.SIGCONT)
        self._process.wait()


class Follower:
    """Reads topics as a consumer downstream does, read_committed, and keeps what it read.

    Attributes:
        records: by topic, in offset order within each partition.
    """

    def __init__(self, settings: Mapping[str, Any], partitions: Iterable[Partition]) -> None:
        self.records: dict[str, list[Record]] = defaultdict(list)
        self._reader = KafkaLogReader(settings)
        self._partitions = list(partitions)
        self._next: dict[Partition, int] = {}
        for partition in self._partitions:
            self._reader.open(partition, 0)

    def poll(self) -> None:
        """Take what is there."""
        for record in self._reader.read(10_000, _POLL_S):
            self.records[record.topic].append(record)
            self._next[record.source] = record.offset + 1

    def next_offset(self, partition: Partition) -> int:
        """Return the offset after the last committed record that was read."""
        return self._next.get(partition, 0)

    def has_read(self, ends: Mapping[Partition, int]) -> bool:
        """Tell whether everything before these offsets was read, or is known to be no record."""
        return all(self._reader.position(partition) >= end for partition, end in ends.items())

    def close(self) -> None:
        self._reader.shut()


class Application:
    """One application: its own topics under its own prefix, workers, a producer, and what is read of it.

    Use it in a ``with`` statement: at its end every worker is ended, and after a failure their logs are printed.

    Args:
        kafka: where.
        name: of the application; made unique.
        directory: for states and logs.
        partitions: of each internal log.
        public_partitions: of each public topic, unless named in ``partitions_of``.
        partitions_of: partitions of public topics by name without prefix.
        settings: over those of :data:`QUICK`.
    """

    def __init__(
        self,
        kafka: Broker,
        name: str,
        directory: Path,
        *,
        partitions: int = 2,
        public_partitions: int = 2,
        partitions_of: Mapping[str, int] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = f"{name}-{secrets.token_hex(3)}"
        self.prefix = f"{self.name}."
        self.directory = directory
        self._overrides = {
            **QUICK,
            "app": self.name,
            "kafka.bootstrap_servers": kafka.bootstrap_servers,
            "topics.prefix": self.prefix,
            "engine.partitions": partitions,
            **(settings or {}),
        }
        self.settings = load_settings(self._overrides).settings
        self.cluster = KafkaTopics({**connection(self.settings), "log_level": 0})
        self._public_partitions = public_partitions
        self._partitions_of = partitions_of or {}
        self.documents = documents_log(self.name, self.prefix)
        self.skus = skus_log(self.name, self.prefix)
        self.workers: list[Worker] = []
        self._producer = Producer(
            {
                "bootstrap.servers": kafka.bootstrap_servers,
                "linger.ms": 5,
                "message.max.bytes": 4 << 20,
                # else a retry could change the order of records
                "enable.idempotence": True,
            },
            logger=_SILENT,
        )
        self._writers = {
            (topic, wire): make(topic, SCHEMAS)
            for topic in INPUT_RECORDS
            for wire, make in (("avro", single_object_writer), ("json", json_writer))
        }
        self._offsets: Consumer | None = None
        self._follower: Follower | None = None
        self._sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.end_now()
        for client in (self._offsets, self._follower):
            if client is not None:
                client.close()
        if kind is not None:
            sys.stdout.write(self.logs())

    def logs(self) -> str:
        """Return the ends of all workers' logs."""
        texts = []
        for log in sorted({worker.log for worker in self.workers}):
            text = log.read_text(encoding="utf-8", errors="replace")
            texts.append(f"----- {log.name}\n{text[-_LOG_TAIL_CHARACTERS:]}\n")
        return "".join(texts)

    # --- topics

    def create_topics(self) -> None:
        """Make all topics as ``bostream init`` does, but the public ones with other partition counts."""
        specs = []
        for spec in topic_specs(self.settings, self.cluster.brokers()):
            count = spec.partitions
            if not spec.is_partition_count_fixed:
                base = spec.name.removeprefix(self.prefix).removesuffix(".dlq")
                count = self._partitions_of.get(base, self._public_partitions)
            specs.append(msgspec.structs.replace(spec, partitions=count))
        self.cluster.create(specs)

    def partitions(self, topics: Iterable[str]) -> list[Partition]:
        """Return the partitions of topics, by their full names."""
        found = self.cluster.describe(topics)
        return [Partition(topic, number) for topic in sorted(found) for number in range(found[topic].partitions)]

    def topic(self, name: str) -> str:
        """Return the full name of a public topic, or of its dead letters (``orders.dlq``)."""
        base = name.removesuffix(".dlq")
        full = public_topic(base, self.prefix)
        return full if base == name else dead_letter_topic(full)

    # --- processes

    def bostream(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with the settings of this application."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BOSTREAM_")}
        # wide enough that no table is folded
        environment["COLUMNS"] = "400"
        command = [sys.executable, "-m", "bostream", *arguments, *self._flags()]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    def start(self, instance: str, failpoint: str = "", **settings: str) -> Worker:
        """Start a worker; one of the same name before had the same state directory, unless ``state`` names another."""
        state = self.state_of(settings.pop("state", instance))
        flags = ["--instance", instance, "--state-dir", str(state), *self._flags()]
        if failpoint:
            flags += ["--set", f"engine.failpoint={failpoint}"]
        worker = Worker(flags, self.directory / f"{self.name}-{instance}.log", state)
        self.workers.append(worker)
        return worker

    def state_of(self, instance: str) -> Path:
        return self.directory / f"{self.name}-{instance}-state"

    def _flags(self) -> list[str]:
        return [part for name, value in self._overrides.items() for part in ("--set", f"{name}={value}")]

    # --- in

    def send(
        self, *records: InputRecord, wire: str = "avro", key: bytes = b"any", headers: Headers = (), timestamp: int = 0
    ) -> None:
        """Produce input records; ``timestamp`` in µs, 0: now. They are there when :meth:`flush` returns."""
        for record in records:
            topic = TOPIC_OF[type(record)]
            value = self._writers[topic, wire].write(record)
            self.send_bytes(topic, value, key=key, headers=headers, timestamp=timestamp)

    def send_bytes(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
        timestamp: int = 0,
        partition: int = -1,
    ) -> None:
        """Produce anything to an input topic."""
        self._sent += 1
        self._producer.produce(
            self.topic(topic),
            value,
            key,
            partition=partition,
            headers=list(headers),
            timestamp=timestamp // 1000,
            on_delivery=_raise_refused,
        )
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until everything sent is in the topics."""
        left = self._producer.flush(_CALL_TIMEOUT_S)
        assert 0 == left, f"{left} input records were not taken"

    @property
    def sent(self) -> int:
        """How many input records were produced."""
        return self._sent

    # --- out

    def committed(self, partitions: Sequence[Partition]) -> dict[Partition, int] | None:
        """Return what the group committed (0: nothing yet); None while a transaction leaves it open."""
        if self._offsets is None:
            self._offsets = Consumer({**reader_settings(self.settings), "group.id": self.name})
        try:
            found = self._offsets.committed([TopicPartition(*partition) for partition in partitions], _CALL_TIMEOUT_S)
        except KafkaException:
            return None
        if any(one.error is not None for one in found):
            return None
        return {Partition(one.topic, one.partition): max(0, one.offset) for one in found}

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return where partitions end for everybody, uncommitted records included."""
        ranges = TopicReader(reader_settings(self.settings)).ranges(list(partitions))
        return {partition: one.end for partition, one in ranges.items()}

    def is_at_rest(self) -> bool:
        """Tell whether the group has committed past every record of every input and internal log.

        The group's offsets are asked first and the logs' ends afterwards: what was committed before covers all that is
        there now, so nothing is on its way.
        """
        if self._follower is None:
            topics = [*(self.topic(name) for name in INPUT_TOPICS), self.documents, self.skus]
            self._read_by_group = self.partitions(topics)
            self._follower = Follower(reader_settings(self.settings), self._read_by_group)
        committed = self.committed(self._read_by_group)
        if committed is None:
            return False
        ends = self.ends(self._read_by_group)
        follower = self._follower
        follower.poll()
        return follower.has_read(ends) and all(
            follower.next_offset(partition) <= committed[partition] for partition in self._read_by_group
        )

    def await_rest(self) -> None:
        """Wait until everything that was sent, and all that follows from it, was processed."""
        self.flush()
        self.await_that(self.is_at_rest, "all records are processed")

    def await_that(self, condition: Callable[[], bool], what: str) -> None:
        """Ask again and again; whoever asks waits a little inside, for records."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline_s, f"not within {DEADLINE_S:.0f} s: {what}"

    def follow(self, *names: str) -> Follower:
        """Return a reader of public topics; close it."""
        return Follower(reader_settings(self.settings), self.partitions(self.topic(name) for name in names))

    def read(self, *topics: str) -> list[Record]:
        """Return the committed records of topics, by their full names, as they are now."""
        return [record for record in TopicReader(reader_settings(self.settings)).read(topics) if record is not None]

    def count_aborted(self) -> int:
        """Return how many records of aborted transactions the outputs and internal logs hold."""
        topics = [*(self.topic(name) for name in OUTPUT_RECORDS), self.documents, self.skus]
        reader = TopicReader({**reader_settings(self.settings), "isolation.level": "read_uncommitted"})
        return sum(record is not None for record in reader.read(topics)) - len(self.read(*topics))

    def count_unprocessed(self) -> int:
        """Return how many input records the group has not committed; an open transaction counts as not committed."""
        admin = self.cluster.client
        inputs = self.partitions(self.topic(name) for name in INPUT_TOPICS)
        asked = ConsumerGroupTopicPartitions(self.name, [TopicPartition(*partition) for partition in inputs])
        answer = admin.list_consumer_group_offsets([asked], require_stable=False, request_timeout=_CALL_TIMEOUT_S)
        committed = {
            Partition(one.topic, one.partition): max(0, one.offset)
            for one in answer[self.name].result().topic_partitions
        }
        return sum(end - committed[partition] for partition, end in self.ends(inputs).items())

    def published(self, name: str) -> list[Any]:
        """Return the records of an output topic, decoded; a tombstone is None."""
        read = RecordReader(name, SCHEMAS).read
        return [None if one.value is None else read(one.value) for one in self.read(self.topic(name))]

    def compacted(self, name: str) -> dict[str, Any]:
        """Return the last record of each key of an output topic, those that ended in a tombstone left out."""
        read = RecordReader(name, SCHEMAS).read
        latest = {(one.key or b"").decode(): one.value for one in self.read(self.topic(name))}
        return {key: read(value) for key, value in sorted(latest.items()) if value is not None}

    @property
    def reader_settings(self) -> Mapping[str, Any]:
        """How to read as others do."""
        return reader_settings(self.settings)

    def members(self) -> dict[str, set[Partition]]:
        """Return what each member of the group owns, by the instance's name."""
        answer = self.cluster.client.describe_consumer_groups([self.name], request_timeout=_CALL_TIMEOUT_S)
        group = answer[self.name].result()
        return {
            str(member.group_instance_id).removeprefix(f"{self.name}-"): {
                Partition(one.topic, one.partition) for one in member.assignment.topic_partitions
            }
            for member in group.members
        }


def _raise_refused(error: object, _message: object) -> None:
    if error is not None:
        raise AssertionError(f"an input record was not taken: {error}")
