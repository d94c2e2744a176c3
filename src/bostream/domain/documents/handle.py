"""The desk at work: one event or timer in, outcomes out, each yielded right after it was evolved.

What must stay true: the caller exhausts the iterator; nothing but the desk, the event and log time has a say.
"""

from collections.abc import Iterator

from bostream.domain.documents.decide import decide, settle
from bostream.domain.documents.desk import FORGET_ASN, FORGET_ORDER, NOTICE, Desk
from bostream.domain.documents.events import DocumentEvent
from bostream.domain.documents.evolve import evolve
from bostream.domain.documents.notices import customer_notice
from bostream.domain.documents.outcomes import (
    AsnForgotten,
    ForgettingPostponed,
    NoticeIssued,
    OrderForgotten,
    Outcome,
    WindowClosed,
)
from bostream.domain.state import Timer
from bostream.errors import InvariantError


def handle(desk: Desk, event: DocumentEvent, log_time: int) -> Iterator[Outcome]:
    """Apply one event of the documents log.

    Args:
        desk: the documents of this partition.
        event: what happened.
        log_time: µs (R21).

    Yields:
        What was decided, in order, each after the desk has it.

    Raises:
        BadRecordError: the event can never be applied; nothing was changed.
    """
    outcomes = decide(desk, event, log_time)
    if not outcomes:
        return
    for outcome in outcomes:
        evolve(desk, outcome)
        yield outcome
    for outcome in settle(desk, event, log_time):
        evolve(desk, outcome)
        yield outcome


def fire(desk: Desk, timer: Timer, log_time: int) -> Iterator[Outcome]:
    """Apply a timer that is due and whose row is gone; ``log_time`` is its due moment (R21)."""
    for outcome in decide_timer(desk, timer, log_time):
        evolve(desk, outcome)
        yield outcome


def decide_timer(desk: Desk, timer: Timer, log_time: int) -> tuple[Outcome, ...]:
    """Say what follows from a timer; reads only. A timer of a document that is gone has no outcome."""
    (subject,) = timer.subject
    if timer.kind == NOTICE:
        return _end_window(desk, subject, timer.due)
    if timer.kind == FORGET_ORDER:
        return _forget_order(desk, subject, log_time)
    if timer.kind == FORGET_ASN:
        return _forget_asn(desk, subject, log_time)
    raise InvariantError(f"the desk has no timer of kind {timer.kind}")


def _end_window(desk: Desk, order_id: str, due: int) -> tuple[Outcome, ...]:
    document = desk.order(order_id)
    if document is None:
        return ()
    notice = customer_notice(document, due)
    if notice is None:
        return (WindowClosed(order_id),)
    return (NoticeIssued(notice), WindowClosed(order_id))


def _forget_order(desk: Desk, order_id: str, log_time: int) -> tuple[Outcome, ...]:
    document = desk.order(order_id)
    if document is None:
        return ()
    if document.settled_at is None:
        return (ForgettingPostponed(FORGET_ORDER, order_id, None),)
    due = document.settled_at + desk.rules.closed_retention
    if due > log_time:
        return (ForgettingPostponed(FORGET_ORDER, order_id, due),)
    return (OrderForgotten(order_id),)


def _forget_asn(desk: Desk, asn_id: str, log_time: int) -> tuple[Outcome, ...]:
    document = desk.asn(asn_id)
    if document is None or document.ended_at is None:
        return ()
    due = document.ended_at + desk.rules.closed_retention
    if due > log_time:
        return (ForgettingPostponed(FORGET_ASN, asn_id, due),)
    return (AsnForgotten(asn_id),)
