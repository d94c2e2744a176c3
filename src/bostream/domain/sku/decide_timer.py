"""What a moment of log time brings: parked scans and memories reach their end (R15, I8). Reads only.

What must stay true: a timer that is not due any more, since what it points at changed, does nothing.
"""

from bostream.domain.sku.book import Book, Page
from bostream.domain.sku.outcomes import (
    DiscrepancyFound,
    DiscrepancyKind,
    EventsForgotten,
    InboundForgotten,
    LineForgotten,
    Outcome,
    ScansUnparked,
)
from bostream.domain.sku.rank import counted
from bostream.domain.sku.timers import INBOUND_SETTLED, LINE_CLOSED, SCANS_PARKED, SCANS_SEEN, SWEEP_ROWS_MAX
from bostream.domain.state import Timer
from bostream.errors import InvariantError


def decide_timer(book: Book, timer: Timer, log_time: int) -> tuple[Page, list[Outcome]]:
    """Return what a timer of a book causes, and on which SKU's page."""
    if timer.kind == SCANS_SEEN:
        return book.page(""), [EventsForgotten(int(timer.subject[0]), SWEEP_ROWS_MAX)]
    sku, owner, line_id = timer.subject
    page = book.page(sku)
    if timer.kind == SCANS_PARKED:
        return page, _given_up(page, owner, line_id, log_time)
    if timer.kind == LINE_CLOSED:
        return page, _line_forgotten(page, owner, line_id, log_time)
    if timer.kind == INBOUND_SETTLED:
        return page, _inbound_forgotten(page, owner, line_id, log_time)
    raise InvariantError(f"a SKU book has no timer of kind {timer.kind!r}")


def _given_up(page: Page, order_id: str, line_id: str, log_time: int) -> list[Outcome]:
    """The line did not come within the horizon: tell people what was scanned for it (R15)."""
    parked = page.parked(order_id, line_id)
    if parked is None:
        return []
    horizon = page.book.rules.duplicate_horizon
    old = [scan for scan in parked.scans if scan.parked_at + horizon <= log_time]
    if not old:
        return []
    outcomes: list[Outcome] = [ScansUnparked(order_id, line_id, len(old))]
    for scan in old:
        message = (
            f"{counted(scan.quantity)} of {page.sku} {scan.type.lower()} at {scan.location} "
            f"for line {line_id} of order {order_id}, which did not become known in time."
        )
        kind = DiscrepancyKind.DISCREPANCY
        outcomes.append(DiscrepancyFound(kind, message, order_id=order_id, line_id=line_id, location=scan.location))
    return outcomes


def _line_forgotten(page: Page, order_id: str, line_id: str, log_time: int) -> list[Outcome]:
    line = page.line(order_id, line_id)
    if line is None or line.closed_at is None or line.closed_at + page.book.rules.closed_retention > log_time:
        return []
    return [LineForgotten(order_id, line_id)]


def _inbound_forgotten(page: Page, asn_id: str, line_id: str, log_time: int) -> list[Outcome]:
    inbound = page.inbound(asn_id, line_id)
    if inbound is None or inbound.settled_at is None:
        return []
    if inbound.settled_at + page.book.rules.closed_retention > log_time:
        return []
    return [InboundForgotten(asn_id, line_id)]
