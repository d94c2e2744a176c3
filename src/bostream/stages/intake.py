"""Intake: public input records become events in the internal logs, bad ones dead letters.

What must stay true: every input record leaves exactly one record behind, an event or a dead letter, in the transaction
that moves past it (I12); besides ``Ticked`` this is the only place where a clock enters, and only to hold back
timestamps from the future.
"""

from collections.abc import Callable, Mapping
from typing import Final, assert_never

from bostream.contract.codec import InputReader
from bostream.contract.deadletter import dead_letter
from bostream.contract.records import AllocationPolicy, AsnEvent, InventoryScan, OrderEvent
from bostream.contract.topics import public_topic
from bostream.domain.cause import Cause
from bostream.domain.documents.events import AsnReceived, OrderAction, OrderReceived, WantedLine
from bostream.domain.sku.events import ShipPolicy, StockScanned, Terms
from bostream.engine.ports import Clock, Emit, Headers, Output, Record, StatelessStage
from bostream.errors import BadRecordError
from bostream.stages.common import InternalLogs

INPUT_TOPICS: Final = ("orders", "inventory-scans", "asns")
"""Topics that the intake reads, by their names without prefix."""

NOT_SUPPORTED: Final = "NOT_SUPPORTED"
"""Reason of a record that keeps the contract and asks for what is not built yet: it can be replayed later."""

TRACE_BYTES_MAX: Final = 1_024
"""A longer ``traceparent`` or ``tracestate`` is left out: it would travel with every effect (W3C asks for 512)."""

_DOCUMENTS: Final = frozenset({OrderAction.PLACED, OrderAction.AMENDED})


class IntakeStage:
    """Reads one input topic.

    Args:
        topic: the topic's name without prefix.
        reader: decodes and checks its records.
        logs: where events go.
        clock: bounds timestamps.
        dead_letter_partitions: how many partitions the dead-letter topic has, if known.
    """

    def __init__(
        self,
        topic: str,
        reader: InputReader,
        logs: InternalLogs,
        clock: Clock,
        dead_letter_partitions: int | None = None,
    ) -> None:
        self.name = f"intake-{topic}"
        self._topic = topic
        self._read = reader.read
        self._logs = logs
        self._now = clock.now
        self._dead_letter_partitions = dead_letter_partitions

    def process(self, record: Record, emit: Emit) -> None:
        """Emit the event of one record, or its dead letter."""
        try:
            output = self._accept(record)
        except BadRecordError as error:
            output = self._refuse(record, error)
        emit(output)

    def _accept(self, record: Record) -> Output:
        public = self._read(record.key, record.value)
        timestamp = min(record.timestamp, self._now())
        match public:
            case InventoryScan():
                return self._logs.to_skus(stock_scanned(public, self._cause(public, record)), timestamp)
            case OrderEvent():
                return self._logs.to_documents(order_received(public, self._cause(public, record)), timestamp)
            case AsnEvent():
                return self._logs.to_documents(asn_received(public, self._cause(public, record)), timestamp)
            case AllocationPolicy() | None:
                raise BadRecordError(NOT_SUPPORTED, "allocation policies are not supported yet")
            case _:
                assert_never(public)

    def _cause(self, public: InventoryScan | OrderEvent | AsnEvent, record: Record) -> Cause:
        traceparent, tracestate = trace_context(record.headers)
        return Cause(
            public.event_id,
            f"{self._topic}/{public.type}",
            public.occurred_at,
            record.timestamp,
            traceparent,
            tracestate,
        )

    def _refuse(self, record: Record, error: BadRecordError) -> Output:
        letter = dead_letter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=record.headers,
            stage=self.name,
            error=error,
            dead_letter_partitions=self._dead_letter_partitions,
        )
        return Output(letter.topic, letter.key, letter.value, letter.partition, headers=letter.headers)


def make_intake(
    *,
    app: str,
    partitions: int,
    clock: Clock,
    make_reader: Callable[[str], InputReader],
    prefix: str = "",
    dead_letter_partitions: Mapping[str, int] | None = None,
) -> dict[str, StatelessStage]:
    """Return the stages of all input topics, by the topics' full names.

    Args:
        app: the application's name.
        partitions: how many partitions each internal log has.
        clock: bounds timestamps.
        make_reader: makes the reader of a topic, given its name without prefix.
        prefix: what every topic's name begins with.
        dead_letter_partitions: partitions of the dead-letter topics, by the input topics' names without prefix.
    """
    logs = InternalLogs(app, partitions, prefix)
    counts = dead_letter_partitions or {}
    return {
        public_topic(topic, prefix): IntakeStage(topic, make_reader(topic), logs, clock, counts.get(topic))
        for topic in INPUT_TOPICS
    }


def order_received(order: OrderEvent, cause: Cause) -> OrderReceived:
    """Return the event of an order record.

    Raises:
        BadRecordError: it asks for something that is not supported yet.
    """
    if order.type in (OrderAction.HELD, OrderAction.RELEASED):
        raise BadRecordError(NOT_SUPPORTED, f"order events of type {order.type} are not supported yet")
    is_document = order.type in _DOCUMENTS
    if is_document and order.ship_policy is ShipPolicy.ORDER_COMPLETE:
        raise BadRecordError(NOT_SUPPORTED, "ship_policy ORDER_COMPLETE is not supported yet")
    terms = Terms(
        order_version=order.order_version,
        accepted_at=order.accepted_at if is_document and order.accepted_at is not None else 0,
        customer_id=order.customer_id,
        customer_tier=order.customer_tier,
        channel=order.channel,
        priority=order.priority,
        need_by=order.need_by,
        cancel_after=order.cancel_after,
        ship_policy=order.ship_policy,
        locations=order.locations,
    )
    lines = tuple([WantedLine(line.line_id, line.sku, line.quantity) for line in order.lines]) if is_document else ()
    return OrderReceived(cause, order.order_id, order.type, terms, lines, order.source)


def stock_scanned(scan: InventoryScan, cause: Cause) -> StockScanned:
    """Return the event of a scan record."""
    return StockScanned(
        cause,
        scan.sku,
        scan.type,
        scan.location,
        scan.quantity,
        scan.source,
        scan.expected_quantity,
        scan.order_id,
        scan.line_id,
        scan.asn_id,
        scan.asn_line_id,
        scan.reason,
    )


def asn_received(asn: AsnEvent, cause: Cause) -> AsnReceived:
    """Return the event of an ASN record."""
    return AsnReceived(
        cause,
        asn.asn_id,
        asn.type,
        asn.asn_version,
        asn.location,
        asn.eta,
        tuple([WantedLine(line.line_id, line.sku, line.quantity) for line in asn.lines]),
        asn.supplier_id,
        asn.source,
    )


def trace_context(headers: Headers) -> tuple[str, str]:
    """Return (traceparent, tracestate) of a record; empty where there is none, or none that could be passed on."""
    traceparent = tracestate = ""
    for name, value in headers:
        if name == "traceparent":
            traceparent = _header_text(value)
        elif name == "tracestate":
            tracestate = _header_text(value)
    return traceparent, tracestate if traceparent else ""


def _header_text(value: bytes | None) -> str:
    if value is None or len(value) > TRACE_BYTES_MAX or not value.isascii():
        return ""
    return value.decode("ascii")
