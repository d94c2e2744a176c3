"""What follows from one event at the desk: versions, differences of whole documents, and what books are told.

What must stay true: ``decide`` reads and never writes; an event that is a repeat or is not newer than its document has
no outcome at all; a demand is always the difference between two whole documents, so the final demand depends on the
newest version alone, whatever the order of arrival.
"""

from collections.abc import Iterator
from typing import assert_never

import msgspec

from bostream.domain.cause import Cause
from bostream.domain.documents.desk import Desk
from bostream.domain.documents.events import (
    AsnAction,
    AsnReceived,
    DocumentEvent,
    LineReported,
    OrderAction,
    OrderReceived,
    WantedLine,
)
from bostream.domain.documents.notices import asn_refused, order_refused
from bostream.domain.documents.outcomes import (
    AsnArrived,
    AsnEnded,
    AsnVersionAccepted,
    AsnVersionRefused,
    DemandSent,
    InboundSent,
    LineNoted,
    NoticeIssued,
    OrderCancelled,
    OrderReopened,
    OrderSettled,
    OrderVersionAccepted,
    OrderVersionRefused,
    Outcome,
    RefreshSent,
    WindowOpened,
)
from bostream.domain.documents.state import AppliedEvent, AsnDocument, OrderDocument, OrderLine
from bostream.domain.sku.events import (
    DemandChanged,
    DemandReason,
    InboundChanged,
    InboundLine,
    LineDemand,
    LineRefreshed,
    Terms,
)
from bostream.errors import BadRecordError

Demands = dict[str, list[LineDemand]]
"""Changed lines by SKU."""


def decide(desk: Desk, event: DocumentEvent, log_time: int) -> tuple[Outcome, ...]:
    """Say what follows from one event.

    Raises:
        BadRecordError: the event asks for something that is not supported.
    """
    match event:
        case OrderReceived():
            return _decide_order(desk, event, log_time)
        case LineReported():
            return _decide_report(desk, event, log_time)
        case AsnReceived():
            return _decide_asn(desk, event, log_time)
        case _:
            assert_never(event)


def settle(desk: Desk, event: DocumentEvent, log_time: int) -> tuple[Outcome, ...]:
    """Say whether the event, which has been evolved, leaves its order without anything open.

    Only events that took effect may call for this. A version that changed nothing of a settled order starts its
    retention anew, so that the ids of its events are remembered for as long as the horizon.
    """
    if isinstance(event, AsnReceived):
        return ()
    document = desk.known_order(event.order_id)
    if document.has_open_lines():
        return (OrderReopened(event.order_id),) if document.settled_at is not None else ()
    if document.settled_at is not None and isinstance(event, LineReported):
        return ()
    return (OrderSettled(event.order_id, at=log_time, due=log_time + desk.rules.closed_retention),)


# --- orders


def _decide_order(desk: Desk, event: OrderReceived, log_time: int) -> tuple[Outcome, ...]:
    """Order of checks: not supported, repeated id, not newer, cancelled for good."""
    if event.action is OrderAction.HELD or event.action is OrderAction.RELEASED:
        raise BadRecordError("NOT_SUPPORTED", f"order events of type {event.action} are not supported yet")
    document = desk.order(event.order_id)
    applied = AppliedEvent(event.source, event.cause.event_id, log_time)
    version = event.terms.order_version
    if document is not None:
        if desk.has_applied(document.applied, event.source, event.cause.event_id, log_time):
            return ()
        if version <= document.version:
            return ()
        if document.is_cancelled:
            return (
                OrderVersionRefused(event.order_id, version, applied),
                NoticeIssued(order_refused(document, event)),
            )
    # From here on the event succeeds.
    match event.action:
        case OrderAction.CANCELLED:
            return (OrderCancelled(event.order_id, version, applied), *_cancel_all(document, event.cause, version))
        case OrderAction.PLACED | OrderAction.AMENDED:
            return _decide_whole_order(document, event, applied)
        case _:
            assert_never(event.action)


def _cancel_all(document: OrderDocument | None, cause: Cause, version: int) -> Iterator[Outcome]:
    if document is None or document.terms is None:
        return
    terms = msgspec.structs.replace(document.terms, order_version=version)
    demands: Demands = {}
    for line in document.lines.values():
        if line.wanted > 0:
            demands.setdefault(line.sku, []).append(LineDemand(line.line_id, ends=True))
    yield from _send(demands, cause, document.order_id, DemandReason.ORDER_CANCELLED, terms)


def _decide_whole_order(
    document: OrderDocument | None, event: OrderReceived, applied: AppliedEvent
) -> tuple[Outcome, ...]:
    """Take the difference between the order's last whole document and this one."""
    previous = None if document is None else document.terms
    if document is None or previous is None:
        terms, reason = event.terms, DemandReason.ORDER_PLACED
        seniority = terms.accepted_at
        known: dict[str, OrderLine] = {}
        terms_changed = False
    else:
        terms = msgspec.structs.replace(event.terms, accepted_at=previous.accepted_at)
        reason = DemandReason.ORDER_AMENDED
        seniority = max(event.cause.occurred_at, terms.accepted_at)
        known = document.lines
        terms_changed = terms != msgspec.structs.replace(previous, order_version=terms.order_version)
    demands = _difference(known, event.lines, seniority, terms_changed=terms_changed)
    return (
        OrderVersionAccepted(event.order_id, terms, applied),
        *_send(demands, event.cause, event.order_id, reason, terms),
    )


def _difference(
    known: dict[str, OrderLine], wanted: tuple[WantedLine, ...], seniority: int, *, terms_changed: bool
) -> Demands:
    """Compare the lines of two whole documents (R5).

    Args:
        known: lines as the last document left them.
        wanted: lines of the new document.
        seniority: rank of every added unit.
        terms_changed: lines whose quantity stays are told too.
    """
    demands: Demands = {}
    for line in wanted:
        before = known.get(line.line_id)
        if before is not None and before.sku != line.sku and line.quantity > 0:
            demands.setdefault(before.sku, []).append(LineDemand(line.line_id, ends=True, moved=True))
            before = None
        held = before.wanted if before is not None else 0
        if line.quantity > held:
            change = LineDemand(line.line_id, add=line.quantity - held, seniority=seniority)
        elif line.quantity == 0 and held > 0:
            change = LineDemand(line.line_id, ends=True)
        elif line.quantity < held:
            change = LineDemand(line.line_id, cancel=held - line.quantity)
        elif held > 0 and terms_changed:
            change = LineDemand(line.line_id)
        else:
            continue
        sku = line.sku if before is None else before.sku
        demands.setdefault(sku, []).append(change)
    listed = {line.line_id for line in wanted}
    for line_id, left_out in known.items():
        if line_id not in listed and left_out.wanted > 0:
            demands.setdefault(left_out.sku, []).append(LineDemand(line_id, ends=True))
    return demands


def _send(demands: Demands, cause: Cause, order_id: str, reason: DemandReason, terms: Terms) -> Iterator[Outcome]:
    """One demand per SKU, in SKU order, with its lines in line id order."""
    for sku in sorted(demands):
        lines = tuple(sorted(demands[sku], key=_line_id))
        yield DemandSent(DemandChanged(cause, sku, order_id, reason, terms, lines))


def _line_id(demand: LineDemand) -> str:
    return demand.line_id


def _decide_report(desk: Desk, event: LineReported, log_time: int) -> tuple[Outcome, ...]:
    """A report about a line that is not known (any more) changes nothing."""
    document = desk.order(event.order_id)
    line = None if document is None else document.line_on(event.line_id, event.sku)
    if document is None or line is None:
        return ()
    outcomes: list[Outcome] = [LineNoted(event)]
    if document.window_due is None and line.is_news(event):
        outcomes.append(WindowOpened(event.order_id, due=log_time + desk.rules.notice_window))
    present = document.lines.get(event.line_id)
    if event.let_go and present is not None:
        outcomes.append(RefreshSent(LineRefreshed(event.cause, present.sku, event.order_id, event.line_id)))
    return tuple(outcomes)


# --- advance ship notices


def _decide_asn(desk: Desk, event: AsnReceived, log_time: int) -> tuple[Outcome, ...]:
    """Order of checks: repeated id, not newer, ended."""
    document = desk.asn(event.asn_id)
    applied = AppliedEvent(event.source, event.cause.event_id, log_time)
    if document is not None:
        if desk.has_applied(document.applied, event.source, event.cause.event_id, log_time):
            return ()
        if _is_stale(document, event):
            return ()
        if document.ended_at is not None:
            return (
                AsnVersionRefused(event.asn_id, event.version, applied),
                NoticeIssued(asn_refused(event)),
            )
    # From here on the event succeeds.
    match event.action:
        case AsnAction.ANNOUNCED | AsnAction.AMENDED:
            return (
                AsnVersionAccepted(event.asn_id, event.version, event.location, event.eta, applied),
                *_inbound_difference(document, event),
            )
        case AsnAction.ARRIVED:
            return (AsnArrived(event.asn_id, event.version, applied),)
        case AsnAction.CANCELLED | AsnAction.CLOSED:
            due = log_time + desk.rules.closed_retention
            return (AsnEnded(event.asn_id, event.version, applied, due), *_end_inbound(document, event.cause))
        case _:
            assert_never(event.action)


def _is_stale(document: AsnDocument, event: AsnReceived) -> bool:
    """Compare with the watermark: ARRIVED has its own until the ASN ends, and nothing precedes an end."""
    if document.version is not None and event.version <= document.version:
        return event.action is not AsnAction.ARRIVED or document.ended_at is not None
    if event.action is AsnAction.ARRIVED:
        return document.arrived_version is not None and event.version <= document.arrived_version
    return False


def _inbound_difference(document: AsnDocument | None, event: AsnReceived) -> Iterator[Outcome]:
    """Tell each SKU whose part of the notice differs; a SKU that has no line any more is told so."""
    before = {} if document is None else _by_sku(document.lines)
    after = _by_sku(event.lines)
    is_header_same = (
        document is not None
        and document.version is not None
        and (document.location, document.eta) == (event.location, event.eta)
    )
    for sku in sorted(before.keys() | after.keys()):
        lines = after.get(sku, ())
        if not is_header_same or lines != before.get(sku, ()):
            yield InboundSent(InboundChanged(event.cause, sku, event.asn_id, event.location, event.eta, lines))


def _end_inbound(document: AsnDocument | None, cause: Cause) -> Iterator[Outcome]:
    if document is None:
        return
    for sku, lines in sorted(_by_sku(document.lines).items()):
        yield InboundSent(
            InboundChanged(cause, sku, document.asn_id, document.location, document.eta, lines, closed=True)
        )


def _by_sku(lines: tuple[WantedLine, ...]) -> dict[str, tuple[InboundLine, ...]]:
    grouped: dict[str, list[InboundLine]] = {}
    for line in sorted(lines, key=_wanted_id):
        grouped.setdefault(line.sku, []).append(InboundLine(line.line_id, line.quantity))
    return {sku: tuple(inbound) for sku, inbound in grouped.items()}


def _wanted_id(line: WantedLine) -> str:
    return line.line_id
