"""A small honest business run in memory, kept as the topics of a cluster would keep it; tests then falsify it."""

from collections.abc import Iterator, Mapping

import msgspec

from bostream.audit.demand import DemandRules
from bostream.audit.findings import Finding, Findings
from bostream.audit.reference import ReferenceRules
from bostream.audit.source import Span
from bostream.audit.verify import Application, Chain, audit
from bostream.contract.codec import InputReader, RecordReader, single_object_writer
from bostream.contract.partitioner import partition_for
from bostream.contract.records import INPUT_RECORDS, InputRecord
from bostream.contract.schemas import load_schemas
from bostream.contract.topics import changelog
from bostream.domain.documents.desk import DeskRules
from bostream.domain.documents.events import AsnAction, OrderAction
from bostream.domain.sku.events import ScanType, ShipPolicy
from bostream.engine import chain
from bostream.engine.ports import Headers, Record
from bostream.testing.driver import PartitionDriver, PipelineDriver
from tests.stages.support import DAY, NOON, SECOND, asn, order, scan

SCHEMAS = load_schemas()
INPUTS = ("orders", "inventory-scans", "asns")
APP = "shop"
SKUS = "shop-skus"
DOCUMENTS = "shop-documents"
OUTPUT_PARTITIONS = 3

_WRITERS = {INPUT_RECORDS[topic]: (topic, single_object_writer(topic, SCHEMAS)) for topic in INPUT_RECORDS}


class Topics:
    """Records by topic and partition, with the group's offsets: a :class:`bostream.audit.source.Source`."""

    def __init__(self) -> None:
        self.records: dict[str, dict[int, list[Record]]] = {}
        self.committed: dict[tuple[str, int], int] = {}
        self.starts: dict[tuple[str, int], int] = {}
        self.unsettled: set[tuple[str, int]] = set()

    def append(self, record: Record, gap: int = 0) -> Record:
        """Put a record at the end of its partition, behind so many offsets that no record has."""
        partition = self.records.setdefault(record.topic, {}).setdefault(record.partition, [])
        offset = partition[-1].offset + 1 + gap if partition else 0
        partition.append(record._replace(offset=offset))
        return partition[-1]

    def all(self, topic: str) -> list[Record]:
        """Return the records of a topic, partition by partition."""
        return [record for partition in self.records.get(topic, {}).values() for record in partition]

    def replace(self, record: Record, **changes: object) -> Record:
        """Falsify a record where it stands."""
        partition = self.records[record.topic][record.partition]
        falsified = record._replace(**changes)  # type: ignore[arg-type]
        partition[partition.index(record)] = falsified
        return falsified

    def remove(self, record: Record) -> None:
        """Take a record out; the offsets of the others stay."""
        self.records[record.topic][record.partition].remove(record)

    def spans(self, topic: str) -> Mapping[int, Span]:
        found = {}
        for number, records in self.records.get(topic, {}).items():
            end = records[-1].offset + 1 if records else 0
            place = (topic, number)
            start = self.starts.get(place, 0)
            found[number] = Span(start, end, end, self.committed.get(place), place not in self.unsettled)
        return found

    def read(self, topic: str) -> Iterator[Record]:
        yield from (record for record in self.all(topic) if record.offset >= self.spans(topic)[record.partition].start)


class Business:
    """A pipeline whose inputs are kept too."""

    def __init__(self, partitions: int = 2, batch_records_max: int = 1_000) -> None:
        rules = DeskRules()
        self.driver = PipelineDriver(
            app=APP, partitions=partitions, desk_rules=rules, batch_records_max=batch_records_max
        )
        self.inputs = Topics()
        for topic in INPUTS:
            self.inputs.records[topic] = {0: []}

    def send(self, record: InputRecord, timestamp: int, *, settle: bool = True) -> None:
        topic, writer = _WRITERS[type(record)]
        self.send_bytes(topic, writer.write(record), timestamp, settle=settle)

    def send_bytes(
        self, topic: str, value: bytes | None, timestamp: int, *, headers: Headers = (), settle: bool = True
    ) -> None:
        kept = timestamp // 1000 * 1000
        self.inputs.append(Record(topic, 0, 0, kept, b"any", value, headers))
        self.driver.send_bytes(topic, value, kept, key=b"any", headers=headers, settle=settle)

    def topics(self) -> Topics:
        """Return everything as a cluster would have it, all of it processed."""
        topics = Topics()
        topics.records = {topic: {0: list(partitions[0])} for topic, partitions in self.inputs.records.items()}
        for topic in INPUTS:
            topics.committed[topic, 0] = len(topics.records[topic][0])
        for log in (DOCUMENTS, SKUS):
            topics.records[log] = {}
            for partition in self.driver.log(log):
                number = partition.log.number
                topics.records[log][number] = list(partition.records)
                _add_changelog(topics, partition)
                if partition.records:
                    topics.committed[log, number] = len(partition.records)
        for outputs in self.driver.outputs.values():
            for output in outputs:
                hashed = partition_for(output.key or b"", OUTPUT_PARTITIONS)
                number = hashed if output.partition is None else output.partition
                topics.append(Record(output.topic, number, 0, 0, output.key, output.value, output.headers))
        return topics


def _add_changelog(topics: Topics, partition: PartitionDriver) -> None:
    """Write the state in up to three transactions, each with some of the rows."""
    topic, number = changelog(partition.log.topic), partition.log.number
    topics.records.setdefault(topic, {})[number] = []
    if not partition.records:
        return
    rows = [(bytes([table]) + key, value) for (table, key), value in partition.state.encoded().items()]
    link = chain.NO_LINK
    count = len(partition.records)
    ends = sorted({max(1, count // 3), max(1, count * 2 // 3), count})
    for index, log_offset in enumerate(ends):
        part = rows[index :: len(ends)]
        for place, (key, value) in enumerate(part):
            # the marker that ends a transaction takes an offset
            topics.append(Record(topic, number, 0, 0, key, value), gap=1 if place == 0 else 0)
        log_time = max(record.timestamp for record in partition.records[:log_offset])
        value, link = chain.next_commit(
            link,
            owner="worker-1",
            epoch=1,
            log_offset=log_offset,
            log_time=log_time,
            changelog_records=len(part),
            output_records=0,
        )
        topics.append(Record(topic, number, 0, 0, chain.commit_key(link.sequence), value), gap=0 if part else 1)


def application() -> Application:
    return Application(
        app=APP,
        prefix="",
        inputs=INPUTS,
        rules=ReferenceRules(),
        desk=DemandRules(duplicate_horizon=7 * DAY, retention=30 * DAY),
        make_input_reader=lambda topic: InputReader(topic, SCHEMAS),
        make_output_reader=lambda topic: RecordReader(topic, SCHEMAS),
        chain=Chain(chain.is_commit_key, chain.follow),
    )


def audited(topics: Topics) -> Findings:
    return audit(topics, application(), lambda *_, **__: None)


def told(findings: Findings) -> list[tuple[str, str]]:
    """Return (kind, where) of all findings."""
    return [(str(finding.kind), where(finding)) for finding in findings.kept]


def where(finding: Finding) -> str:
    return "/".join([finding.topic, *(str(number) for number in (finding.partition, finding.offset) if number >= 0)])


def honest() -> Business:
    """A bit of everything: queue, shortages, picks, amendments, cancellations, moves, ASNs, repeats, dead letters."""
    business = Business()
    now = NOON
    send = business.send
    send(asn("A1", ("1", "S", 20), ("2", "T", 4)), now)
    for number in range(12):
        sku = "ST"[number % 2]
        policy = ShipPolicy.LINE_COMPLETE if number % 5 == 4 else ShipPolicy.PARTIAL
        send(order(f"O{number}", ("1", sku, 3), ("2", "U", 2), at=now, priority=number % 3, ship_policy=policy), now)
        now += SECOND
    send(scan(ScanType.RECEIVED, 10, sku="S", asn=("A1", "1"), at=now), now)
    send(scan(ScanType.RECEIVED, 7, sku="T", location="W2", at=now), now)
    send(scan(ScanType.RECEIVED, 9, sku="U", at=now), now + SECOND)
    now += 5 * SECOND
    shipped = ("O0", "1")
    send(scan(ScanType.PICKED, 3, sku="S", line=shipped, at=now), now)
    send(scan(ScanType.SHIPPED, 3, sku="S", line=shipped, at=now, event_id="ship-1"), now)
    send(scan(ScanType.SHIPPED, 3, sku="S", line=shipped, at=now, event_id="ship-1"), now + SECOND)
    send(scan(ScanType.COUNTED, 2, sku="T", location="W2", expected=7, at=now), now + 2 * SECOND)
    send(order("O3", ("1", "U", 4), ("2", "U", 1), version=2, action=OrderAction.AMENDED, at=now), now + 3 * SECOND)
    send(order("O4", version=2, action=OrderAction.CANCELLED, at=now), now + 4 * SECOND)
    send(order("O5", ("1", "T", 9), version=1, action=OrderAction.AMENDED, at=now), now + 5 * SECOND)
    # The line moves to another SKU while the old one still has a picked unit of it.
    send(scan(ScanType.PICKED, 1, sku="S", line=("O6", "1"), at=now), now + 5 * SECOND)
    send(order("O6", ("1", "U", 3), ("2", "U", 2), version=2, action=OrderAction.AMENDED, at=now), now + 5 * SECOND)
    business.send_bytes("orders", b"nonsense", now, headers=(("traceparent", b"t"), ("x", None)))
    business.send_bytes("inventory-scans", None, now)
    send(order("O99", ("1", "S", 1), action=OrderAction.HELD, at=now), now)
    send(asn("A1", ("1", "S", 12), version=2, action=AsnAction.AMENDED, eta=NOON + 9 * DAY), now + 6 * SECOND)
    send(scan(ScanType.PICKED, 1, sku="U", line=("late", "1"), at=now), now + 7 * SECOND)
    send(order("late", ("1", "U", 2), at=now), now + 8 * SECOND)
    business.driver.pass_time(now + DAY)
    return business


def recoded(topic: str, record: Record, **changes: object) -> bytes:
    """Return the value of a published record with other fields."""
    read = RecordReader(topic, SCHEMAS).read(record.value)
    return single_object_writer(topic, SCHEMAS).write(msgspec.structs.replace(read, **changes))
