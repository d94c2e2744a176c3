"""The document desk as a stage: events of the documents log in, demands and notices out.

What must stay true: what is emitted follows from the log alone; nothing is remembered between two records but the
state.
"""

from collections.abc import Iterator
from typing import Final, assert_never

import msgspec

from bostream.contract.identity import join_key
from bostream.contract.records import Audience, Notification, NotificationLine, NotificationType
from bostream.domain.documents import outcomes as desk_outcomes
from bostream.domain.documents.desk import Desk, DeskRules
from bostream.domain.documents.events import DocumentRecord
from bostream.domain.documents.handle import fire, handle
from bostream.domain.documents.outcomes import (
    AsnArrived,
    AsnEnded,
    AsnForgotten,
    AsnVersionAccepted,
    AsnVersionRefused,
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
from bostream.domain.sku.events import Ticked
from bostream.domain.state import State, Timer
from bostream.engine.ports import Emit, Origin, Record, StageFactory
from bostream.stages.common import InternalLogs, Outputs, decode, next_id

_AUDIENCES: Final = {audience: Audience(audience.value) for audience in desk_outcomes.Audience}
_TYPES: Final = {kind: NotificationType(kind.value) for kind in desk_outcomes.NoticeType}


class DocumentsStage:
    """The desk of one partition of the documents log."""

    name = "documents"

    def __init__(self, state: State, rules: DeskRules, logs: InternalLogs, outputs: Outputs) -> None:
        self._desk = Desk(state, rules)
        self._logs = logs
        self._outputs = outputs
        self._decoder: msgspec.msgpack.Decoder[DocumentRecord] = msgspec.msgpack.Decoder(DocumentRecord)

    def process(self, record: Record, origin: Origin, emit: Emit) -> None:
        """Apply one record of the log; see :class:`bostream.engine.ports.StatefulStage`."""
        event = decode(self._decoder, record)
        if isinstance(event, Ticked):
            return
        self._emit_all(handle(self._desk, event, origin.log_time), origin, emit)

    def fire(self, timer: Timer, origin: Origin, emit: Emit) -> None:
        """Apply a timer that is due."""
        self._emit_all(fire(self._desk, timer, origin.log_time), origin, emit)

    def finish(self, emit: Emit) -> None:
        """Nothing is published once per batch."""

    def rollback(self) -> None:
        """Nothing is remembered."""

    def _emit_all(self, outcomes: Iterator[Outcome], origin: Origin, emit: Emit) -> None:
        timestamp = origin.record.timestamp
        for outcome in outcomes:
            match outcome:
                case DemandSent(demand=demand):
                    emit(self._logs.to_skus(demand, timestamp))
                case InboundSent(inbound=inbound):
                    emit(self._logs.to_skus(inbound, timestamp))
                case RefreshSent(refresh=refresh):
                    emit(self._logs.to_skus(refresh, timestamp))
                case NoticeIssued(notice=notice):
                    identity = next_id(origin)
                    record = notification(notice, identity)
                    emit(self._outputs.notifications.output(notice.subject, record, identity, notice.cause))
                case (
                    OrderVersionAccepted()
                    | OrderCancelled()
                    | OrderVersionRefused()
                    | LineNoted()
                    | OrderSettled()
                    | OrderReopened()
                    | OrderForgotten()
                    | WindowOpened()
                    | WindowClosed()
                    | AsnVersionAccepted()
                    | AsnArrived()
                    | AsnEnded()
                    | AsnVersionRefused()
                    | AsnForgotten()
                    | ForgettingPostponed()
                ):
                    pass  # the desk's own affair
                case _:
                    assert_never(outcome)


def notification(notice: Notice, identity: str) -> Notification:
    """Return the public record of a notice."""
    return Notification(
        event_id=identity,
        deduplication_key=join_key(*notice.deduplication),
        occurred_at=notice.cause.occurred_at,
        audience=_AUDIENCES[notice.audience],
        type=_TYPES[notice.type],
        order_id=notice.order_id,
        customer_id=notice.customer_id,
        order_version=notice.order_version,
        lines=tuple(
            [
                NotificationLine(
                    line_id=line.line_id,
                    sku=line.sku,
                    ordered=line.ordered,
                    allocated=line.allocated,
                    shipped=line.shipped,
                    waiting=line.waiting,
                    eta=line.eta,
                    previous_eta=line.previous_eta,
                )
                for line in notice.lines
            ]
        ),
        cause_event_id=notice.cause.event_id,
        message=notice.message,
    )


def documents_stage(logs: InternalLogs, outputs: Outputs, rules: DeskRules | None = None) -> StageFactory:
    """Return what makes the document desk of one partition."""
    constants = rules or DeskRules()

    def make(state: State) -> DocumentsStage:
        return DocumentsStage(state, constants, logs, outputs)

    return make
