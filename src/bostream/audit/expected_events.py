"""What each public input record must become in an internal log, worked out a second time.

What must stay true: nothing here is shared with the intake; trace context is left out, since it never reaches a rule.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from bostream.contract.records import AsnEvent, InputRecord, InventoryScan, OrderEvent
from bostream.domain.cause import Cause
from bostream.domain.documents.events import AsnReceived, OrderAction, OrderReceived, WantedLine
from bostream.domain.sku.events import StockScanned, Terms

IntakeEvent = OrderReceived | AsnReceived | StockScanned
"""Events that come from the intake."""

DIGEST_BYTES: Final = 16
_encode = msgspec.msgpack.Encoder().encode


def expected_event(topic: str, record: InputRecord | None, timestamp: int) -> IntakeEvent | None:
    """Return the event of an input record; None when no log has events of this kind.

    Args:
        topic: the input topic's name without prefix.
        record: what the record says.
        timestamp: of the record (µs).
    """
    match record:
        case OrderEvent():
            return _order(record, _cause(topic, record, timestamp))
        case AsnEvent():
            return AsnReceived(
                _cause(topic, record, timestamp),
                record.asn_id,
                record.type,
                record.asn_version,
                record.location,
                record.eta,
                tuple(WantedLine(line.line_id, line.sku, line.quantity) for line in record.lines),
                record.supplier_id,
                record.source,
            )
        case InventoryScan():
            return StockScanned(
                cause=_cause(topic, record, timestamp),
                sku=record.sku,
                type=record.type,
                location=record.location,
                quantity=record.quantity,
                source=record.source,
                expected_quantity=record.expected_quantity,
                order_id=record.order_id,
                line_id=record.line_id,
                asn_id=record.asn_id,
                asn_line_id=record.asn_line_id,
                reason=record.reason,
            )
        case _:
            return None


def _cause(topic: str, record: OrderEvent | AsnEvent | InventoryScan, timestamp: int) -> Cause:
    return Cause(record.event_id, f"{topic}/{record.type}", record.occurred_at, timestamp)


def _order(order: OrderEvent, cause: Cause) -> OrderReceived:
    """Only a whole document has lines and a moment of acceptance."""
    has_document = order.type in (OrderAction.PLACED, OrderAction.AMENDED)
    terms = Terms(
        order_version=order.order_version,
        accepted_at=(order.accepted_at or 0) if has_document else 0,
        customer_id=order.customer_id,
        customer_tier=order.customer_tier,
        channel=order.channel,
        priority=order.priority,
        need_by=order.need_by,
        cancel_after=order.cancel_after,
        ship_policy=order.ship_policy,
        locations=order.locations,
    )
    lines = tuple(WantedLine(line.line_id, line.sku, line.quantity) for line in order.lines) if has_document else ()
    return OrderReceived(cause, order.order_id, order.type, terms, lines, order.source)


def digest_of(event: IntakeEvent) -> bytes:
    """Return a digest of everything that an event says, but its trace context."""
    if event.cause.traceparent:
        cause = msgspec.structs.replace(event.cause, traceparent="", tracestate="")
        event = msgspec.structs.replace(event, cause=cause)
    return blake2b(_encode(event), digest_size=DIGEST_BYTES).digest()
