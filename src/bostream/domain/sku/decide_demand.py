"""What a change of an order's demand does to one of its lines (R5, R6, R12). Reads only.

What must stay true: waiting units vanish before allocated ones are freed, and picked units are never taken.
"""

from bostream.domain.sku.book import Page
from bostream.domain.sku.events import DemandChanged, LineDemand
from bostream.domain.sku.outcomes import (
    CancellationDeferred,
    DemandAdded,
    DiscrepancyFound,
    DiscrepancyKind,
    LineMoved,
    Outcome,
    Reason,
    TermsChanged,
    UnitsCancelled,
    UnitsDeallocated,
)
from bostream.domain.sku.places import leaving_order
from bostream.domain.sku.rank import counted, rank_text
from bostream.domain.sku.state import Line


def decide_demand(page: Page, event: DemandChanged, demand: LineDemand) -> list[Outcome]:
    """Return what the change does to this line; serving comes later, when all lines of the event are in (R5)."""
    line = page.line(event.order_id, demand.line_id)
    if line is None:
        return _first_demand(event, demand)
    if not line.is_open and not demand.add:
        # The order still hears that this book has let go of a line that went elsewhere.
        return [LineMoved(event.order_id, demand.line_id)] if demand.moved and not line.is_moved else []

    # From here on the event succeeds.
    outcomes: list[Outcome] = []
    if line.terms != event.terms:
        outcomes.append(TermsChanged(event.order_id, demand.line_id, event.terms))
    open_units = line.waiting + line.allocated - line.deferred
    cancelled = open_units if demand.ends else min(demand.cancel, open_units)
    if cancelled:
        outcomes += give_up(page, line, cancelled, Reason(event.reason))
    if demand.add:
        outcomes += _increase(line, demand)
    if demand.moved and not line.is_moved:
        outcomes.append(LineMoved(event.order_id, demand.line_id))
    return outcomes


def _first_demand(event: DemandChanged, demand: LineDemand) -> list[Outcome]:
    """A line that is not known: nothing to cancel, only to add."""
    if not demand.add:
        return []
    return [
        TermsChanged(event.order_id, demand.line_id, event.terms),
        DemandAdded(event.order_id, demand.line_id, demand.add, demand.seniority),
    ]


def _increase(line: Line, demand: LineDemand) -> list[Outcome]:
    """Units cancelled after picking come back first: they are the line's still."""
    outcomes: list[Outcome] = []
    regained = min(demand.add, line.deferred)
    if regained:
        outcomes.append(CancellationDeferred(line.order_id, line.line_id, -regained))
    if demand.add > regained:
        outcomes.append(DemandAdded(line.order_id, line.line_id, demand.add - regained, demand.seniority))
    return outcomes


def give_up(page: Page, line: Line, quantity: int, reason: Reason) -> list[Outcome]:
    """Cancel so many open units of a line: waiting ones, then unpicked ones, then picked ones when they come back.

    ``quantity`` is at most what waits or is allocated and is not given up yet.
    """
    outcomes: list[Outcome] = []
    freed = min(max(0, quantity - line.waiting), line.allocated - line.picked)
    if freed:
        outcomes += leave(page, line, freed, reason)
    gone = min(quantity, line.waiting + freed)
    if gone:
        outcomes.append(UnitsCancelled(line.order_id, line.line_id, gone, reason))
    deferred = quantity - gone
    if deferred:
        outcomes.append(CancellationDeferred(line.order_id, line.line_id, deferred))
        message = f"Line {line.line_id} of order {line.order_id}: {counted(deferred)} cancelled after picking."
        kind = DiscrepancyKind.DISCREPANCY
        outcomes.append(DiscrepancyFound(kind, message, order_id=line.order_id, line_id=line.line_id))
    return outcomes


def leave(page: Page, line: Line, quantity: int, reason: Reason, kept: str | None = None) -> list[Outcome]:
    """Take so many unpicked units from a line, in the reverse of the order in which it draws units (R8).

    Units at the location ``kept`` stay.
    """
    outcomes: list[Outcome] = []
    free = page.head.free
    filled = line.shipped + line.allocated
    for place in leaving_order(line, free):
        taken = 0 if place.location == kept else min(quantity, place.unpicked)
        if not taken:
            continue
        entry, _ = line.entry_before(filled)
        rank = rank_text(line, entry.seniority)
        outcomes.append(UnitsDeallocated(line.order_id, line.line_id, place.location, taken, reason, rank))
        filled -= taken
        quantity -= taken
    return outcomes
