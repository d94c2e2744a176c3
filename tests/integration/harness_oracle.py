"""The oracle: every event had its effects once, and every copy of the state says the same.

What must stay true: it judges an application at rest, by what a read_committed consumer sees, in two independent ways:

* *replay*: the stages, fed with the internal logs as they stand, must give the published records byte for byte (their
  ids included), and the state that the changelogs, the workers' stores and a store restored on an empty disk have;
* *audit*: the reference allocator, other code, must come to the same totals, and walks the commit chains.

Stock positions are published once per transaction, so of them only the last of each key follows from the logs.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from shutil import copytree
from typing import Final, NamedTuple

import msgspec

from bostream.adapters.kafka.logs import KafkaLogReader
from bostream.adapters.rocks import RocksStoreFactory
from bostream.audit.findings import Kind
from bostream.audit.verify import audit
from bostream.cli.wiring import application_of, audited_topics, log_specs, reader_settings, sku_rules
from bostream.contract.codec import InputReader
from bostream.contract.deadletter import dead_letter_topic
from bostream.contract.identity import split_key
from bostream.contract.partitioner import partition_for
from bostream.contract.topics import changelog
from bostream.domain.sku.book import Book
from bostream.domain.sku.events import Ticked
from bostream.engine import chain
from bostream.engine.ports import LogRange, Output, Partition, Record
from bostream.engine.restore import Restoration, Restorer
from bostream.engine.task import LogSpec
from bostream.stages.intake import INPUT_TOPICS, make_intake
from bostream.stages.skus import stock_position
from bostream.testing.driver import DriverClock, PartitionDriver
from tests.integration.harness import SCHEMAS, Application

Rows = dict[bytes, bytes]
Effect = tuple[str, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]

_EXACT: Final = ("allocations", "backorder-lines", "notifications")
_CACHE_MB: Final = 16
_SHOWN_MAX: Final = 5
_UNPROCESSED: Final = re.compile(r"-(documents|skus): \d+ records were not processed at the cut")
_ROUNDS_MAX: Final = 10_000

_DOUBLED: Final = frozenset(
    {Kind.ALLOCATION_DOUBLED, Kind.EVENT_ID_REPEATED, Kind.DEAD_LETTER_REPEATED, Kind.INTERNAL_REPEATED}
)
_MISSING: Final = frozenset({Kind.ALLOCATION_MISSING, Kind.INPUT_LOST})


class Verdict(NamedTuple):
    """What was found.

    Attributes:
        inputs: input records that were judged.
        effects: published records that were compared.
        doubled, missing: records that are there too often, or not.
        wrong_state: rows, totals and links that are not as they must be.
        findings: sentences on the first of them.
    """

    inputs: int
    effects: int
    doubled: int
    missing: int
    wrong_state: int
    findings: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return not (self.doubled or self.missing or self.wrong_state)


class Oracle:
    """Collects what it finds while it looks at one application.

    Args:
        application: at rest, no worker running.
        scratch: an empty directory for stores.
    """

    def __init__(self, application: Application, scratch: Path) -> None:
        self._application = application
        self._settings = application.settings
        self._scratch = scratch
        self._specs = log_specs(self._settings, SCHEMAS)
        self._doubled = 0
        self._missing = 0
        self._wrong = 0
        self._findings: list[str] = []
        self._committed: dict[Partition, int] = {}
        self._replayed: list[Output] = []
        self.inputs = 0
        self.effects = 0

    def judge(self, *stores: Path) -> Verdict:
        """Look at everything.

        Args:
            stores: state directories of workers that have stopped and owned every partition last.
        """
        logs = {spec.topic: self._by_partition(self._application.read(spec.topic)) for spec in self._specs}
        numbers = range(self._settings.engine.partitions)
        committed = self._application.committed([Partition(log, number) for log in logs for number in numbers])
        assert committed is not None, "a transaction is still open"
        self._committed = committed
        drivers = self._replay(logs)
        self._compare_published(drivers)
        self._compare_sequences()
        self._compare_states(drivers, stores)
        self._audit()
        return Verdict(
            self.inputs, self.effects, self._doubled, self._missing, self._wrong, tuple(self._findings[:_SHOWN_MAX])
        )

    # --- replay

    @staticmethod
    def _by_partition(records: Iterable[Record]) -> dict[int, list[Record]]:
        found: dict[int, list[Record]] = defaultdict(list)
        for record in records:
            found[record.partition].append(record)
        return found

    def _replay(self, logs: Mapping[str, Mapping[int, list[Record]]]) -> dict[Partition, PartitionDriver]:
        """Run each partition of each internal log through its stage, in an empty store, as far as it was processed.

        A worker that stops may leave a tick behind that it appended and did not process, but nothing else.
        """
        drivers = {}
        for spec in self._specs:
            for number in range(self._settings.engine.partitions):
                log = Partition(spec.topic, number)
                driver = drivers[log] = PartitionDriver(log, spec.make_stage)
                for record in logs[spec.topic].get(number, ()):
                    if record.offset < self._committed[log]:
                        driver.records.append(record)
                    elif not _is_tick(record):
                        self._missing += 1
                        self._find(f"not processed: {record}")
                self._replayed += driver.run_batch(len(driver.records))
        return drivers

    def _from_intake(self) -> Iterator[Output]:
        stages = make_intake(
            app=self._settings.app,
            partitions=self._settings.engine.partitions,
            clock=DriverClock(),
            make_reader=lambda topic: InputReader(topic, SCHEMAS),
            prefix=self._settings.topics.prefix,
        )
        for topic, stage in stages.items():
            for record in self._application.read(topic):
                self.inputs += 1
                found: list[Output] = []
                stage.process(record, found.append)
                yield from found

    def _compare_published(self, drivers: Mapping[Partition, PartitionDriver]) -> None:
        """Every record that a worker produces, against what the replay produced."""
        application = self._application
        logs = [spec.topic for spec in self._specs]
        letters = [dead_letter_topic(topic) for topic in (*map(application.topic, INPUT_TOPICS), *logs)]
        compared = {*logs, *letters, *map(application.topic, _EXACT)}
        expected = Counter(
            (_effect(output), output.timestamp if output.topic in logs else None)
            for output in (*self._replayed, *self._from_intake())
            if output.topic in compared
        )
        actual = Counter(
            (_effect(record), record.timestamp if record.topic in logs else None)
            for record in application.read(*sorted(compared))
            if not (record.topic in logs and _is_tick(record))
        )
        self.effects += actual.total()
        for (effect, _), count in (actual - expected).items():
            self._doubled += count
            self._find(f"published {count} times too often: {effect}")
        for (effect, _), count in (expected - actual).items():
            self._missing += count
            self._find(f"missing {count} times: {effect}")
        self._compare_stock(drivers)

    def _compare_stock(self, drivers: Mapping[Partition, PartitionDriver]) -> None:
        name = "stock-positions"
        ids = Counter(dict(record.headers)["ce_id"] for record in self._application.read(self._application.topic(name)))
        self.effects += ids.total()
        for identity, count in ids.items():
            if count > 1:
                self._doubled += count - 1
                self._find(f"{name}: id {identity!r} came {count} times")
        last = self._application.compacted(name)
        topic = self._application.topic(name)
        keys = {(output.key or b"").decode() for output in self._replayed if output.topic == topic}
        for key in keys | last.keys():
            sku, location = split_key(key)
            number = partition_for(sku.encode(), self._settings.engine.partitions)
            book = Book(drivers[Partition(self._application.skus, number)].state, sku_rules(self._settings))
            expected = stock_position(book.page(sku), location)
            if last.get(key) != expected:
                self._wrong += 1
                self._find(f"{name} {key}: {last.get(key)}, not {expected}")

    def _compare_sequences(self) -> None:
        """``sku_sequence`` counts 1, 2, 3 … for each SKU."""
        sequences: dict[str, list[int]] = defaultdict(list)
        for event in self._application.published("allocations"):
            sequences[event.sku].append(event.sku_sequence)
        for sku, found in sequences.items():
            if sorted(found) != list(range(1, len(found) + 1)):
                self._wrong += 1
                self._find(f"sku_sequence of {sku} has gaps or repeats: {sorted(found)}")

    # --- state

    def _compare_states(self, drivers: Mapping[Partition, PartitionDriver], stores: Sequence[Path]) -> None:
        for spec in self._specs:
            folded = self._folded(spec)
            restored = self._restored(spec)
            for number in range(self._settings.engine.partitions):
                expected = _rows_of(drivers[Partition(spec.topic, number)])
                self._compare_rows("changelog", spec, number, expected, folded[number])
                self._compare_rows("store restored on an empty disk", spec, number, expected, restored[number])
                for directory in stores:
                    rows = stored_rows(directory, Partition(spec.changelog, number), self._scratch)
                    self._compare_rows(f"store in {directory.name}", spec, number, expected, rows)

    def _folded(self, spec: LogSpec) -> dict[int, Rows]:
        """Return the last value of each key of a changelog."""
        rows: dict[int, Rows] = defaultdict(dict)
        for record in self._application.read(spec.changelog):
            key = record.key or b""
            if key.startswith(chain.ENGINE_TABLE):
                continue
            if record.value is None:
                rows[record.partition].pop(key, None)
            else:
                rows[record.partition][key] = record.value
        return rows

    def _restored(self, spec: LogSpec) -> dict[int, Rows]:
        """Restore all partitions as a worker on an empty disk does; checks chain and committed offsets."""
        logs = [Partition(spec.topic, number) for number in range(self._settings.engine.partitions)]
        changelogs = [Partition(spec.changelog, log.number) for log in logs]
        ends = self._application.ends(changelogs)
        directory = self._scratch / "restored"
        reader = KafkaLogReader(reader_settings(self._settings))
        restorer = Restorer(reader, RocksStoreFactory(directory, _CACHE_MB, _CACHE_MB), 5_000)
        found: dict[int, Rows] = {}
        try:
            for log, its_changelog in zip(logs, changelogs, strict=True):
                restoration = Restoration(
                    log,
                    its_changelog,
                    committed=self._committed[log] or None,
                    changelog_range=LogRange(0, ends[its_changelog]),
                )
                restorer.add(restoration, 0)
            for _ in range(_ROUNDS_MAX):
                for done in restorer.step(0.1):
                    found[done.log.number] = dict(done.store.scan(b""))
                    done.store.close()
                if not restorer.is_busy:
                    return found
            raise AssertionError(f"{spec.changelog} was not restored; doubts: {restorer.take_doubts()}")
        finally:
            restorer.shut()

    def _compare_rows(self, what: str, spec: LogSpec, number: int, expected: Rows, actual: Rows) -> None:
        seen = {key: value for key, value in actual.items() if not key.startswith(chain.ENGINE_TABLE)}
        differing = [key for key in expected.keys() | seen.keys() if expected.get(key) != seen.get(key)]
        self._wrong += len(differing)
        for key in differing[:1]:
            self._find(
                f"{what}, {spec.topic}/{number}: {len(differing)} of {len(expected)} rows differ from the replay, "
                f"e.g. {key!r}: {seen.get(key)!r}, not {expected.get(key)!r}"
            )

    # --- audit

    def _audit(self) -> None:
        findings = audit(audited_topics(self._settings), application_of(self._settings), lambda *_, **__: None)
        for finding in findings.kept:
            self._find(f"audit: {finding}")
        for kind, count in findings.counts.items():
            if kind in _DOUBLED:
                self._doubled += count
            elif kind in _MISSING:
                self._missing += count
            else:
                self._wrong += count
        for limitation in findings.limitations:
            if _UNPROCESSED.search(limitation):
                continue  # ticks, see _replay
            self._wrong += 1
            self._find(f"not audited: {limitation}")

    def _find(self, sentence: str) -> None:
        self._findings.append(sentence)


def judge(application: Application, scratch: Path, *stores: Path) -> Verdict:
    """Return the verdict on an application at rest without running workers."""
    scratch.mkdir(parents=True)
    return Oracle(application, scratch).judge(*stores)


def stored_rows(directory: Path, changelog_partition: Partition, scratch: Path) -> Rows:
    """Return all rows of a worker's store, the engine's own too, from a copy: looking changes nothing."""
    name = f"{changelog_partition.topic}-{changelog_partition.number}"
    copied = scratch / "copies" / directory.name
    if not (copied / name).exists():
        copytree(directory / name, copied / name)
    store = RocksStoreFactory(copied, _CACHE_MB, _CACHE_MB).open(changelog_partition)
    try:
        return dict(store.scan(b""))
    finally:
        store.close()


def stored_position(directory: Path, log: Partition, scratch: Path) -> int:
    """Return up to which offset of its changelog the store of a stopped worker goes; 0 without a store."""
    partition = Partition(changelog(log.topic), log.number)
    if not (directory / f"{partition.topic}-{partition.number}").exists():
        return 0
    meta = stored_rows(directory, partition, scratch).get(chain.META_KEY)
    return 0 if meta is None else chain.decode_meta(meta).changelog_offset


def _rows_of(driver: PartitionDriver) -> Rows:
    return {bytes([number]) + key: value for (number, key), value in driver.state.encoded().items()}


def _effect(record: Output | Record) -> Effect:
    return record.topic, record.key, record.value, tuple(record.headers)


def _is_tick(record: Record) -> bool:
    try:
        return isinstance(msgspec.msgpack.decode(record.value or b"", type=Ticked), Ticked)
    except msgspec.DecodeError:
        return False
