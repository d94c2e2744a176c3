"""The audit: reads an application's topics once each, recomputes, compares.

What must stay true: it is fed plain records and writes nothing; the order of the phases follows from what each needs:
letters before the records that they are made of, inputs before internal logs, logs before outputs.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from bostream.audit.allocations import Allocations
from bostream.audit.commits import Commits, Follow, Link
from bostream.audit.demand import Demand, DemandRules
from bostream.audit.expected_events import IntakeEvent
from bostream.audit.findings import Findings, Kind, Place
from bostream.audit.identities import Identities, header_id
from bostream.audit.intake import Intake
from bostream.audit.ledger import Ledger, LogClock
from bostream.audit.letters import Letters
from bostream.audit.reference import ReferenceRules
from bostream.audit.reports import Reports
from bostream.audit.source import Source, Span, StoredRecord, place_of
from bostream.audit.states import LastValues, check_backorder_lines, check_stock_positions
from bostream.contract.codec import InputReader, RecordReader
from bostream.contract.deadletter import dead_letter_topic
from bostream.contract.identity import join_key
from bostream.contract.partitioner import partition_for
from bostream.contract.topics import changelog, documents_log, public_topic, skus_log
from bostream.domain.documents.events import AsnReceived, DocumentRecord, LineReported, OrderReceived
from bostream.domain.documents.state import ASNS, ORDERS
from bostream.domain.sku.events import (
    DemandChanged,
    InboundChanged,
    LineRefreshed,
    SkuEvent,
    SkuRecord,
    StockScanned,
    Ticked,
)
from bostream.domain.sku.state import (
    CLAIMS,
    COVERS,
    HEADS,
    HOLDERS,
    INBOUND,
    INBOUND_ETAS,
    LANES,
    LINES,
    PARKED,
    QUEUE,
    SEEN,
    STOCK,
)
from bostream.domain.state import TIMERS, TableSpec

_SKU_TABLES: Final = (
    *(TIMERS, HEADS, STOCK, LINES, LANES, QUEUE, CLAIMS, HOLDERS, INBOUND, INBOUND_ETAS, COVERS, PARKED, SEEN),
)
_DOCUMENT_TABLES: Final = (TIMERS, ORDERS, ASNS)
_TELL_EVERY: Final = 20_000


class Progress(Protocol):
    """Hears how far the audit is."""

    def __call__(self, phase: str, records: int, *, is_done: bool) -> None:
        """So many records of this phase were read; ``is_done``: it ends here."""


class Chain(msgspec.Struct, frozen=True):
    """The functions of the engine's commit chain."""

    is_commit_key: Callable[[bytes], bool]
    follow: Follow[Any]


class Application(msgspec.Struct, frozen=True):
    """What is audited.

    Attributes:
        app, prefix: as in the names of its topics.
        inputs: names of the input topics that it reads, without prefix.
        rules: what the SKU books remember for how long.
        desk: what the document desk remembers for how long.
        make_input_reader, make_output_reader: of a topic's values, by its name without prefix.
        chain: of the changelogs.
    """

    app: str
    prefix: str
    inputs: tuple[str, ...]
    rules: ReferenceRules
    desk: DemandRules
    make_input_reader: Callable[[str], InputReader]
    make_output_reader: Callable[[str], RecordReader]
    chain: Chain


def audit(source: Source, application: Application, progress: Progress) -> Findings:
    """Run every check; see docs/AUDIT.md for what they prove."""
    run = _Audit(source, application, progress)
    run.read_inputs()
    run.read_skus_log()
    run.read_documents_log()
    run.finish_logs()
    run.read_allocations()
    run.read_states()
    run.read_notifications()
    run.read_changelogs()
    return run.findings


class _Audit:
    """One run; the methods are its phases, in order."""

    def __init__(self, source: Source, application: Application, progress: Progress) -> None:
        self.findings = Findings()
        self._source = source
        self._application = application
        self._progress = progress
        self._skus = skus_log(application.app, application.prefix)
        self._documents = documents_log(application.app, application.prefix)
        self._inputs = {public_topic(name, application.prefix): name for name in application.inputs}
        self._input_of = {name: topic for topic, name in self._inputs.items()}
        self._whole: dict[str, bool] = {}
        self._identities = Identities(self.findings)
        self._reports = Reports(self.findings)
        self._ledger = Ledger(application.rules, self._reports)
        self._intake = Intake(self._inputs, self.findings)
        self._demand = Demand(application.desk, self.findings)
        self._log_times: dict[tuple[str, int], int] = {}

    # --- reading

    def _read(self, topic: str) -> Iterator[StoredRecord]:
        count = 0
        for record in self._source.read(topic):
            yield record
            count += 1
            if count % _TELL_EVERY == 0:
                self._progress(topic, count, is_done=False)
        self._progress(topic, count, is_done=True)

    def _is_whole(self, topic: str) -> bool:
        """Whether the topic has its beginning; if not, say so once."""
        known = self._whole.get(topic)
        if known is None:
            known = self._whole[topic] = all(span.start == 0 for span in self._source.spans(topic).values())
            if not known:
                self.findings.limit(f"{topic} has lost its beginning to retention: what came before is not audited")
        return known

    def _letters(self, topic: str) -> Letters:
        letters = Letters(topic, self.findings, is_whole=self._is_whole(dead_letter_topic(topic)))
        for record in self._read(dead_letter_topic(topic)):
            letters.add(record)
        return letters

    def read_inputs(self) -> None:
        """I12: what each input record must have become."""
        for topic, name in self._inputs.items():
            self._is_whole(topic)
            spans = self._source.spans(topic)
            letters = self._letters(topic)
            reader = self._application.make_input_reader(name)
            unprocessed = 0
            for record in self._read(topic):
                is_past_cut = record.offset >= spans[record.partition].processed
                unprocessed += is_past_cut
                self._intake.add_input(record, letters, reader, is_past_cut=is_past_cut)
            letters.finish(spans)
            if unprocessed:
                self.findings.limit(f"{topic}: {unprocessed} records were not processed at the cut and are not audited")

    def read_skus_log(self) -> None:
        """Replay the SKUs log; add up demand."""
        decoder: msgspec.msgpack.Decoder[SkuRecord] = msgspec.msgpack.Decoder(SkuRecord)
        is_whole = self._is_whole(self._skus)
        for record, span, log_time, event in self._events(self._skus, decoder):
            is_past_cut = record.offset >= span.processed
            if isinstance(event, LineReported | OrderReceived | AsnReceived):
                continue  # never: the decoder knows only records of this log
            if isinstance(event, StockScanned):
                self._add_from_intake(record, event, "inventory-scans")
            elif isinstance(event, DemandChanged):
                self._demand.add_demand(event)
            elif isinstance(event, InboundChanged):
                self._demand.add_inbound(event)
            self._check_key(record, event.sku)
            if is_whole and record.offset < span.replayed:
                self._ledger.apply(
                    event,
                    partition=record.partition,
                    offset=record.offset,
                    log_time=log_time,
                    is_past_cut=is_past_cut,
                )

    def read_documents_log(self) -> None:
        """Find the newest documents; take in what books reported."""
        decoder: msgspec.msgpack.Decoder[DocumentRecord] = msgspec.msgpack.Decoder(DocumentRecord)
        for record, span, log_time, event in self._events(self._documents, decoder):
            is_past_cut = record.offset >= span.processed
            if isinstance(event, DemandChanged | StockScanned | InboundChanged | LineRefreshed):
                continue  # never: the decoder knows only records of this log
            if isinstance(event, LineReported):
                if record.offset < span.early_end:
                    self._reports.add(event, place_of(record))
                self._check_key(record, join_key("order", event.order_id))
                continue
            kind, name, identity = (
                ("asn", "asns", event.asn_id) if isinstance(event, AsnReceived) else ("order", "orders", event.order_id)
            )
            self._add_from_intake(record, event, name)
            self._check_key(record, join_key(kind, identity))
            # A settled partition sent nothing for what it had not processed.
            if record.offset < span.replayed:
                if isinstance(event, AsnReceived):
                    self._demand.add_asn(record, event, log_time, is_past_cut=is_past_cut)
                else:
                    self._demand.add_order(record, event, log_time, is_past_cut=is_past_cut)

    def _events(
        self, topic: str, decoder: msgspec.msgpack.Decoder[Any]
    ) -> Iterator[tuple[StoredRecord, Span, int, SkuEvent | OrderReceived | AsnReceived | LineReported]]:
        """Yield the events of an internal log with their log time; ticks and records set aside only move log time."""
        spans = self._source.spans(topic)
        letters = self._letters(topic)
        clock = LogClock()
        set_aside = unprocessed = 0
        for record in self._read(topic):
            span = spans[record.partition]
            log_time = clock.pass_record(record.partition, record.timestamp)
            if record.offset < span.processed:
                self._log_times[topic, record.partition] = log_time
            else:
                unprocessed += 1
            is_refused = letters.claim(record)
            try:
                event = decoder.decode(record.value or b"")
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self.findings.add(
                    Kind.INTERNAL_UNEXPECTED,
                    place_of(record),
                    "an internal record",
                    expected="a record that bostream wrote",
                    actual=f"{type(error).__name__}",
                )
                continue
            self.findings.compared[f"records of {topic}"] += 1
            if is_refused:
                set_aside += 1
            elif not isinstance(event, Ticked):
                yield record, span, log_time, event
        letters.finish(spans)
        if set_aside:
            self.findings.limit(f"{set_aside} records of {topic} made a stage fail and stand in its dead letters")
        if unprocessed:
            self.findings.limit(f"{topic}: {unprocessed} records were not processed at the cut and are not audited")

    def _add_from_intake(self, record: StoredRecord, event: IntakeEvent, name: str) -> None:
        topic = self._input_of.get(name)
        is_input_whole = topic is not None and self._is_whole(topic)
        self._intake.add_internal(record, event, is_input_whole=is_input_whole)
        if record.timestamp > event.cause.received_at:
            self.findings.add(
                Kind.INTERNAL_MISPLACED,
                place_of(record),
                f"{event.cause.type} {event.cause.event_id}",
                expected=f"a timestamp not after that of its input record, {event.cause.received_at}",
                actual=record.timestamp,
            )

    def _check_key(self, record: StoredRecord, key: str) -> None:
        expected = key.encode()
        partition = partition_for(expected, len(self._source.spans(record.topic)))
        if (record.key, record.partition) != (expected, partition):
            self.findings.add(
                Kind.INTERNAL_MISPLACED,
                place_of(record),
                f"key {record.key!r}",
                expected=f"key {key} in partition {partition}",
                actual=f"key {record.key!r} in partition {record.partition}",
            )

    # --- comparing

    @property
    def _moving(self) -> set[str]:
        return {sku for sku, account in self._ledger.accounts.items() if account.is_moving}

    def finish_logs(self) -> None:
        """Compare what follows from the logs alone."""
        are_whole = self._is_whole(self._documents), self._is_whole(self._skus)
        if all(are_whole):
            self._intake.finish()
            self._demand.finish(self._skus)
            self._reports.finish(self._documents, self._moving)

    def read_allocations(self) -> None:
        """I9, I11: allocations against the reference's movements."""
        topic = public_topic("allocations", self._application.prefix)
        if not self._is_whole(self._skus):
            self.findings.limit(f"{topic} is not audited, since {self._skus} cannot be replayed from its beginning")
            return
        reader = self._application.make_output_reader("allocations")
        allocations = Allocations(self._ledger, self._skus, reader, self._identities, self.findings)
        for record in self._read(topic):
            allocations.add(record)
        allocations.finish(topic, is_whole=self._is_whole(topic))

    def read_states(self) -> None:
        """The compacted topics against the reference's state."""
        for name, check in (("stock-positions", check_stock_positions), ("backorder-lines", check_backorder_lines)):
            topic = public_topic(name, self._application.prefix)
            last = LastValues(topic, self._identities, self.findings)
            for record in self._read(topic):
                last.add(record)
            if self._is_whole(self._skus):
                reader = self._application.make_output_reader(name)
                left_out = check(last, self._ledger, reader, self.findings)
                if left_out:
                    self.findings.limit(f"{topic}: {left_out} keys of SKUs that were changing were not compared")

    def read_notifications(self) -> None:
        """Of notifications only the ids are audited."""
        topic = public_topic("notifications", self._application.prefix)
        self._is_whole(topic)
        for record in self._read(topic):
            identity = header_id(record)
            subject = (record.key or b"").decode(errors="replace")
            if identity is None:
                self.findings.add(
                    Kind.EVENT_ID_WRONG, place_of(record), subject, expected="the header ce_id", actual="none"
                )
            else:
                self._identities.add(record, identity, subject)

    def read_changelogs(self) -> None:
        """Walk the commit chains."""
        for log, tables in ((self._documents, _DOCUMENT_TABLES), (self._skus, _SKU_TABLES)):
            topic = changelog(log)
            log_spans = self._source.spans(log)
            walks = {
                partition: self._commits(
                    Place(log, partition), log_spans[partition], Place(topic, partition, span.start), tables
                )
                for partition, span in self._source.spans(topic).items()
            }
            for record in self._read(topic):
                walks[record.partition].add(record)
            is_whole = self._is_whole(log)
            for partition, walk in walks.items():
                walk.finish(self._log_times.get((log, partition)) if is_whole else None)

    def _commits(self, log: Place, log_span: Span, first: Place, tables: tuple[TableSpec[Any], ...]) -> Commits[Link]:
        return Commits(
            log,
            log_span,
            Place(first.topic, first.partition),
            first_offset=first.offset,
            tables={spec.number: spec for spec in tables},
            is_commit_key=self._application.chain.is_commit_key,
            follow=self._application.chain.follow,
            findings=self.findings,
        )


def verdict(findings: Findings) -> Mapping[str, Any]:
    """Return everything as plain values, for JSON."""
    return {
        "differences": findings.total,
        "by_kind": dict(findings.counts),
        "compared": dict(findings.compared),
        "limitations": findings.limitations,
        "findings": [msgspec.to_builtins(finding) for finding in findings.kept],
    }
