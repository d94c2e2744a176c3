"""What one event or timer of a SKU book makes known: allocation events at once, lines and reports at its end.

What must stay true: the ``*_after`` fields of an allocation event are read right after its outcome was evolved, so that
they agree with the running totals of a consumer (I11); each touched line is published and reported once per event, as
it stands at the end.
"""

from typing import Final, assert_never

from bostream.contract.identity import join_key
from bostream.contract.records import (
    AllocationEvent,
    AllocationReason,
    AllocationType,
    Audience,
    BackorderLine,
    LineStatus,
    Notification,
    NotificationLine,
    NotificationType,
)
from bostream.domain.cause import Cause
from bostream.domain.documents.events import LineReported
from bostream.domain.sku.book import Page, status_of
from bostream.domain.sku.outcomes import (
    CancellationDeferred,
    CoverMoved,
    DemandAdded,
    DiscrepancyFound,
    DiscrepancyKind,
    EtaMoved,
    EtaTold,
    EventRemembered,
    EventsForgotten,
    InboundForgotten,
    InboundReceived,
    InboundStated,
    LineForgotten,
    LineMoved,
    Outcome,
    Reason,
    ScanParked,
    ScansUnparked,
    StockMoved,
    TermsChanged,
    UnitsAllocated,
    UnitsCancelled,
    UnitsDeallocated,
    UnitsPicked,
    UnitsShipped,
    UnitsUnpicked,
)
from bostream.domain.sku.rank import DEFAULT_POLICY, line_rank_text
from bostream.domain.sku.state import Line
from bostream.engine.ports import Emit, Origin
from bostream.errors import InvariantError
from bostream.stages.common import InternalLogs, Outputs, next_id

Units = UnitsAllocated | UnitsDeallocated | UnitsPicked | UnitsUnpicked | UnitsShipped | UnitsCancelled
"""Outcomes that are published in ``allocations``."""

_TYPES: Final[dict[type, AllocationType]] = {
    UnitsAllocated: AllocationType.ALLOCATED,
    UnitsDeallocated: AllocationType.DEALLOCATED,
    UnitsPicked: AllocationType.PICKED,
    UnitsUnpicked: AllocationType.UNPICKED,
    UnitsShipped: AllocationType.SHIPPED,
    UnitsCancelled: AllocationType.CANCELLED,
}
_REASONS: Final = {reason: AllocationReason(reason.value) for reason in Reason}
_NOTICES: Final = {kind: NotificationType(kind.value) for kind in DiscrepancyKind}

LineKey = tuple[str, str]
"""(order_id, line_id)."""


class SkuEffects:
    """Publishes the outcomes of one event on one SKU. ``locations`` collects where stock positions changed.

    Args:
        page: the SKU's part of the book.
        cause: what is behind the event.
        origin: the log record, for identities and the timestamp of internal records.
        emit: takes what is produced.
        outputs: the output topics.
        logs: the internal logs.
        locations: added to.
    """

    __slots__ = (
        "_cause",
        "_discrepancies",
        "_emit",
        "_let_go",
        "_lines",
        "_locations",
        "_logs",
        "_origin",
        "_outputs",
        "_page",
    )

    def __init__(
        self,
        page: Page,
        cause: Cause,
        origin: Origin,
        emit: Emit,
        *,
        outputs: Outputs,
        logs: InternalLogs,
        locations: set[str],
    ) -> None:
        self._page = page
        self._cause = cause
        self._origin = origin
        self._emit = emit
        self._outputs = outputs
        self._logs = logs
        self._locations = locations
        self._lines: dict[LineKey, bool] = {}  # touched lines in order; True: to be reported to the desk
        self._let_go: set[LineKey] = set()
        self._discrepancies = 0

    def refresh(self, order_id: str, line_id: str) -> None:
        """Publish this line at the end, changed or not."""
        self._lines.setdefault((order_id, line_id), False)

    def add(self, outcome: Outcome) -> None:
        """Take in an outcome that was evolved a moment ago."""
        match outcome:
            case (
                UnitsAllocated()
                | UnitsDeallocated()
                | UnitsPicked()
                | UnitsUnpicked()
                | UnitsShipped()
                | UnitsCancelled()
            ):
                self._lines[outcome.order_id, outcome.line_id] = True
                self._publish_units(outcome)
            case DemandAdded() | CancellationDeferred() | EtaTold():
                # Demand that takes back units cancelled after picking moves no number; the desk waits for its report.
                self._lines[outcome.order_id, outcome.line_id] = True
            case TermsChanged() | EtaMoved():
                self._lines.setdefault((outcome.order_id, outcome.line_id), False)
            case LineMoved():
                self._let_go.add((outcome.order_id, outcome.line_id))
                self._lines[outcome.order_id, outcome.line_id] = True
            case StockMoved():
                self._locations.add(outcome.location)
            case InboundStated():
                self._locations.add(outcome.location)
                if outcome.location_before is not None:
                    self._locations.add(outcome.location_before)
            case InboundReceived():
                inbound = self._page.inbound(outcome.asn_id, outcome.asn_line_id)
                if inbound is not None and inbound.is_announced:
                    self._locations.add(inbound.location)
            case DiscrepancyFound():
                self._publish_discrepancy(outcome)
            case (
                EventRemembered()
                | CoverMoved()
                | EventsForgotten()
                | ScanParked()
                | ScansUnparked()
                | LineForgotten()
                | InboundForgotten()
            ):
                pass  # the book's own affair
            case _:
                assert_never(outcome)

    def close(self) -> None:
        """The event ends: publish and report the lines that it touched."""
        for (order_id, line_id), is_reported in self._lines.items():
            line = self._page.line(order_id, line_id)
            if line is None:
                continue
            if not line.is_moved:
                self._publish_line(line)
            if is_reported:
                self._report(line)

    # --- allocations

    def _publish_units(self, outcome: Units) -> None:
        line = self._known_line(outcome.order_id, outcome.line_id)
        location, on_hand, available = "", 0, 0
        if not isinstance(outcome, UnitsCancelled):
            location = outcome.location
            self._locations.add(location)
            stock = self._page.stock(location)
            on_hand, available = stock.on_hand, max(0, stock.on_hand - stock.allocated)
        reason, rank, units_ahead = AllocationReason.SCANNED, None, 0
        match outcome:
            case UnitsAllocated():
                reason, rank, units_ahead = _REASONS[outcome.reason], outcome.rank, outcome.units_ahead
            case UnitsDeallocated():
                reason, rank = _REASONS[outcome.reason], outcome.rank
            case UnitsCancelled():
                reason = _REASONS[outcome.reason]
            case UnitsPicked() | UnitsUnpicked() | UnitsShipped():
                pass
            case _:
                assert_never(outcome)
        identity = next_id(self._origin)
        record = AllocationEvent(
            event_id=identity,
            occurred_at=self._cause.occurred_at,
            type=_TYPES[type(outcome)],
            sku_sequence=self._page.head.sequence,
            order_id=outcome.order_id,
            line_id=outcome.line_id,
            sku=self._page.sku,
            location=location,
            quantity=outcome.quantity,
            reason=reason,
            cause_event_id=self._cause.event_id,
            cause_type=self._cause.type,
            ordered=line.ordered,
            allocated=line.allocated,
            picked=line.picked,
            shipped=line.shipped,
            cancelled=line.cancelled,
            waiting=line.waiting,
            on_hand_after=on_hand,
            available_after=available,
            rank=line_rank_text(line) if rank is None else rank,
            units_ahead=units_ahead,
            policy=DEFAULT_POLICY,
        )
        self._emit(self._outputs.allocations.output(outcome.order_id, record, identity, self._cause))

    def _known_line(self, order_id: str, line_id: str) -> Line:
        line = self._page.line(order_id, line_id)
        if line is None:
            raise InvariantError(f"SKU {self._page.sku} moved units of an unknown line {order_id}/{line_id}")
        return line

    # --- lines

    def _publish_line(self, line: Line) -> None:
        status = status_of(line)
        record = None if status is None else backorder_line(self._page.sku, line, LineStatus(status))
        key = join_key(line.order_id, line.line_id)
        self._emit(self._outputs.backorder_lines.output(key, record, next_id(self._origin), self._cause))

    def _report(self, line: Line) -> None:
        report = LineReported(
            self._cause,
            line.order_id,
            line.line_id,
            self._page.sku,
            line.ordered,
            line.allocated,
            line.picked,
            line.shipped,
            line.cancelled,
            line.waiting,
            line.eta_told,
            (line.order_id, line.line_id) in self._let_go,
        )
        self._emit(self._logs.to_documents(report, self._origin.record.timestamp))

    # --- operations

    def _publish_discrepancy(self, outcome: DiscrepancyFound) -> None:
        sku = self._page.sku
        line = self._page.line(outcome.order_id, outcome.line_id) if outcome.order_id else None
        identity = next_id(self._origin)
        self._discrepancies += 1
        deduplication = (
            outcome.kind,
            sku,
            outcome.order_id,
            outcome.line_id,
            outcome.location,
            outcome.asn_id,
            self._cause.type,
            self._cause.event_id,
            str(self._discrepancies),
        )
        record = Notification(
            event_id=identity,
            deduplication_key=join_key(*deduplication),
            occurred_at=self._cause.occurred_at,
            audience=Audience.OPERATIONS,
            type=_NOTICES[outcome.kind],
            order_id=outcome.order_id,
            customer_id="" if line is None else line.terms.customer_id,
            order_version=0 if line is None else line.terms.order_version,
            lines=() if line is None else (notification_line(sku, line),),
            cause_event_id=self._cause.event_id,
            message=outcome.message,
        )
        key = outcome.order_id or outcome.asn_id or sku
        self._emit(self._outputs.notifications.output(key, record, identity, self._cause))


def backorder_line(sku: str, line: Line, status: LineStatus) -> BackorderLine:
    """Return the public state of an open line; one that does not wait counts from its acceptance."""
    return BackorderLine(
        order_id=line.order_id,
        line_id=line.line_id,
        sku=sku,
        ordered=line.ordered,
        allocated=line.allocated,
        picked=line.picked,
        shipped=line.shipped,
        cancelled=line.cancelled,
        waiting=line.waiting,
        status=status,
        accepted_at=line.terms.accepted_at,
        waiting_since=line.terms.accepted_at if line.waiting_since is None else line.waiting_since,
        eta=line.eta,
        eta_source=line.eta_source,
        rank=line_rank_text(line),
    )


def notification_line(sku: str, line: Line) -> NotificationLine:
    """Return how a line stands, for a notice to operations."""
    return NotificationLine(
        line_id=line.line_id,
        sku=sku,
        ordered=line.ordered,
        allocated=line.allocated,
        shipped=line.shipped,
        waiting=line.waiting,
        eta=line.eta,
    )
