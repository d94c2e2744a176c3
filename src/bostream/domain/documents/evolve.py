"""The only writer of the desk: applies one outcome, live and in replay.

What must stay true: everything needed stands in the desk and the outcome; every document that is changed is put again.
"""

from collections.abc import Callable
from typing import assert_never

from bostream.domain.documents.desk import APPLIED_EVENTS_MAX, FORGET_ASN, FORGET_ORDER, NOTICE, Desk
from bostream.domain.documents.events import LineReported, WantedLine
from bostream.domain.documents.outcomes import (
    AsnArrived,
    AsnEnded,
    AsnForgotten,
    AsnVersionAccepted,
    AsnVersionRefused,
    Audience,
    DemandSent,
    ForgettingPostponed,
    InboundSent,
    LineNoted,
    Notice,
    NoticeIssued,
    OrderCancelled,
    OrderForgotten,
    OrderReopened,
    OrderSettled,
    OrderVersionAccepted,
    OrderVersionRefused,
    Outcome,
    RefreshSent,
    WindowClosed,
    WindowOpened,
)
from bostream.domain.documents.state import AppliedEvent, AsnDocument, OrderDocument, OrderLine
from bostream.domain.sku.events import DemandChanged, InboundChanged, LineDemand
from bostream.errors import InvariantError


def evolve(desk: Desk, outcome: Outcome) -> None:
    """Apply one outcome. Raises InvariantError when it does not fit the desk."""
    match outcome:
        case OrderVersionAccepted() | OrderCancelled() | OrderVersionRefused():
            _evolve_version(desk, outcome)
        case DemandSent(demand=demand):
            _change_order(desk, demand.order_id, lambda document: _apply_demand(document, demand))
        case LineNoted(report=report):
            _change_order(desk, report.order_id, lambda document: _apply_report(document, report))
        case OrderSettled() | OrderReopened():
            _evolve_settlement(desk, outcome)
        case OrderForgotten(order_id=order_id):
            desk.delete_order(order_id)
        case WindowOpened() | WindowClosed():
            _evolve_window(desk, outcome)
        case NoticeIssued(notice=notice):
            if notice.audience is Audience.CUSTOMER:
                _change_order(desk, notice.order_id, lambda document: _apply_notice(document, notice))
        case AsnVersionAccepted() | AsnArrived() | AsnEnded() | AsnVersionRefused():
            _evolve_asn(desk, outcome)
        case InboundSent(inbound=inbound):
            _evolve_inbound(desk, inbound)
        case AsnForgotten(asn_id=asn_id):
            desk.delete_asn(asn_id)
        case ForgettingPostponed():
            _evolve_postponed(desk, outcome)
        case RefreshSent():
            pass
        case _:
            assert_never(outcome)


def _change_order(desk: Desk, order_id: str, change: Callable[[OrderDocument], None]) -> None:
    document = desk.known_order(order_id)
    change(document)
    desk.put_order(document)


def _remember(desk: Desk, applied: list[AppliedEvent], event: AppliedEvent) -> list[AppliedEvent]:
    """Add an event; drop those that the horizon has passed, and the oldest of too many."""
    horizon = event.log_time - desk.rules.duplicate_horizon
    kept = [old for old in applied if old.log_time >= horizon]
    return [*kept[1 - APPLIED_EVENTS_MAX :], event]


# --- orders


def _evolve_version(desk: Desk, outcome: OrderVersionAccepted | OrderCancelled | OrderVersionRefused) -> None:
    document = desk.order(outcome.order_id) or OrderDocument(outcome.order_id, version=0)
    match outcome:
        case OrderVersionAccepted():
            document.version = outcome.terms.order_version
            document.terms = outcome.terms
        case OrderCancelled():
            document.version = outcome.version
            document.is_cancelled = True
        case OrderVersionRefused():
            document.version = outcome.version
        case _:
            assert_never(outcome)
    document.applied = _remember(desk, document.applied, outcome.event)
    desk.put_order(document)


def _apply_demand(document: OrderDocument, demand: DemandChanged) -> None:
    for change in demand.lines:
        line = document.line_on(change.line_id, demand.sku)
        if change.add > 0:
            line = _take_in(document, change.line_id, demand.sku, line)
            line.wanted += change.add
            line.is_pending = True
        elif line is None:
            raise InvariantError(f"order {document.order_id} asks {demand.sku} to change an unknown line")
        else:
            _reduce(document, line, change)


def _take_in(document: OrderDocument, line_id: str, sku: str, line: OrderLine | None) -> OrderLine:
    """Make the line on this SKU the present one; another SKU's moves to ``former``."""
    present = document.lines.get(line_id)
    if present is not None and present is line:
        return present
    if present is not None:
        document.former.append(present)
    if line is None:
        line = OrderLine(line_id, sku)
    else:
        document.former.remove(line)
    document.lines[line_id] = line
    return line


def _reduce(document: OrderDocument, line: OrderLine, change: LineDemand) -> None:
    line.wanted = 0 if change.ends else line.wanted - change.cancel
    if change.moved and document.lines.get(line.line_id) is line:
        document.former.append(line)
        del document.lines[line.line_id]


def _apply_report(document: OrderDocument, report: LineReported) -> None:
    line = document.line_on(report.line_id, report.sku)
    if line is None:
        raise InvariantError(f"order {document.order_id} has no line {report.line_id} on {report.sku}")
    if line.is_news(report):
        document.window_cause = report.cause
    line.is_pending = False
    line.ordered = report.ordered
    line.allocated = report.allocated
    line.picked = report.picked
    line.shipped = report.shipped
    line.cancelled = report.cancelled
    line.waiting = report.waiting
    line.eta = report.eta


def _evolve_settlement(desk: Desk, outcome: OrderSettled | OrderReopened) -> None:
    document = desk.known_order(outcome.order_id)
    match outcome:
        case OrderSettled(at=at, due=due):
            document.settled_at = at
            if document.forget_due is None:
                document.forget_due = due
                desk.set_timer(due, FORGET_ORDER, outcome.order_id)
        case OrderReopened():
            document.settled_at = None
        case _:
            assert_never(outcome)
    desk.put_order(document)


# --- notices


def _evolve_window(desk: Desk, outcome: WindowOpened | WindowClosed) -> None:
    document = desk.known_order(outcome.order_id)
    match outcome:
        case WindowOpened(due=due):
            document.window_due = due
            desk.set_timer(due, NOTICE, outcome.order_id)
        case WindowClosed():
            document.window_due = None
            document.window_cause = None
        case _:
            assert_never(outcome)
    desk.put_order(document)


def _apply_notice(document: OrderDocument, notice: Notice) -> None:
    for told in notice.lines:
        line = document.line_on(told.line_id, told.sku)
        if line is None:
            raise InvariantError(f"order {document.order_id} tells of an unknown line {told.line_id} on {told.sku}")
        line.told_allocated = told.allocated
        line.told_shipped = told.shipped
        line.told_waiting = told.waiting
        line.told_eta = told.eta


# --- advance ship notices


def _evolve_asn(desk: Desk, outcome: AsnVersionAccepted | AsnArrived | AsnEnded | AsnVersionRefused) -> None:
    document = desk.asn(outcome.asn_id) or AsnDocument(outcome.asn_id)
    match outcome:
        case AsnVersionAccepted():
            document.version = outcome.version
            document.location = outcome.location
            document.eta = outcome.eta
        case AsnArrived():
            document.arrived_version = outcome.version
        case AsnEnded():
            document.version = outcome.version
            document.ended_at = outcome.event.log_time
            document.forget_due = outcome.due
            desk.set_timer(outcome.due, FORGET_ASN, outcome.asn_id)
        case AsnVersionRefused():
            document.version = outcome.version
            document.ended_at = outcome.event.log_time
        case _:
            assert_never(outcome)
    document.applied = _remember(desk, document.applied, outcome.event)
    desk.put_asn(document)


def _evolve_inbound(desk: Desk, inbound: InboundChanged) -> None:
    document = desk.known_asn(inbound.asn_id)
    others = (line for line in document.lines if line.sku != inbound.sku)
    document.lines = (*others, *(WantedLine(line.line_id, inbound.sku, line.quantity) for line in inbound.lines))
    desk.put_asn(document)


# --- both


def _evolve_postponed(desk: Desk, outcome: ForgettingPostponed) -> None:
    document: OrderDocument | AsnDocument
    if outcome.kind == FORGET_ORDER:
        document = desk.known_order(outcome.subject)
        document.forget_due = outcome.due
        desk.put_order(document)
    else:
        document = desk.known_asn(outcome.subject)
        document.forget_due = outcome.due
        desk.put_asn(document)
    if outcome.due is not None:
        desk.set_timer(outcome.due, outcome.kind, outcome.subject)
