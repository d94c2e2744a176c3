"""What a scan does to stock and to the line that it names (R12 to R16). Reads only.

What must stay true: a scan always moves the stock that it says; a repeat does and says nothing (I8).
"""

from typing import assert_never

from bostream.domain.sku.book import Page
from bostream.domain.sku.decide_demand import leave
from bostream.domain.sku.events import ScanType, StockScanned
from bostream.domain.sku.outcomes import (
    CancellationDeferred,
    DemandAdded,
    DiscrepancyFound,
    DiscrepancyKind,
    EventRemembered,
    InboundReceived,
    Outcome,
    Reason,
    ScanParked,
    StockMoved,
    UnitsAllocated,
    UnitsCancelled,
    UnitsDeallocated,
    UnitsPicked,
    UnitsShipped,
    UnitsUnpicked,
)
from bostream.domain.sku.rank import counted, rank_text
from bostream.domain.sku.state import Entry, Line, ParkedScan, entry_before


def decide_scan(page: Page, scan: StockScanned, log_time: int) -> list[Outcome]:
    """Return what a scan does by itself; a shortage and the queue come after it."""
    if page.has_seen(scan.source, scan.cause.event_id, log_time):
        return []

    # From here on the event succeeds.
    outcomes: list[Outcome] = [EventRemembered(scan.source, scan.cause.event_id)]
    location, quantity = scan.location, scan.quantity
    match scan.type:
        case ScanType.RECEIVED:
            outcomes.append(StockMoved(location, quantity))
            if scan.asn_id and scan.asn_line_id:
                outcomes.append(InboundReceived(scan.asn_id, scan.asn_line_id, quantity))
        case ScanType.PICKED | ScanType.UNPICKED | ScanType.SHIPPED | ScanType.SHORTED:
            outcomes += _scan_of_line(page, scan)
        case ScanType.COUNTED:
            expected = scan.expected_quantity
            difference = quantity - (page.stock(location).on_hand if expected is None else expected)
            if difference:
                outcomes.append(StockMoved(location, difference))
        case ScanType.ADJUSTED | ScanType.RETURNED | ScanType.TRANSFERRED_IN:
            outcomes.append(StockMoved(location, quantity))
        case ScanType.TRANSFERRED_OUT:
            outcomes.append(StockMoved(location, -quantity))
        case ScanType.QUARANTINED:
            outcomes.append(StockMoved(location, -quantity, quantity))
        case ScanType.UNQUARANTINED:
            outcomes += _unquarantined(page, location, quantity)
        case _:  # pragma: no cover
            assert_never(scan.type)
    return outcomes


def _unquarantined(page: Page, location: str, quantity: int) -> list[Outcome]:
    """All units are sellable again; ``quarantined`` stops at 0."""
    known = page.stock(location).quarantined
    outcomes: list[Outcome] = [StockMoved(location, quantity, -min(quantity, known))]
    if quantity > known:
        message = f"{counted(quantity)} of {page.sku} came back from quarantine at {location}, which held {known}."
        outcomes.append(DiscrepancyFound(DiscrepancyKind.DISCREPANCY, message, location=location))
    return outcomes


def _scan_of_line(page: Page, scan: StockScanned) -> list[Outcome]:
    """A scan that names a line: known, or not known yet (R15)."""
    order_id, line_id = scan.order_id or "", scan.line_id or ""
    occurred_at = scan.cause.occurred_at
    line = page.line(order_id, line_id)
    if line is not None:
        return decide_line_scan(page, line, scan.type, scan.location, scan.quantity, occurred_at=occurred_at)
    parked = ScanParked(order_id, line_id, scan.location, scan.quantity, scan.type, occurred_at)
    if scan.type in _LEAVING:
        return [StockMoved(scan.location, -scan.quantity), parked]
    return [parked]


def decide_parked_scan(page: Page, line: Line, parked: ParkedScan) -> list[Outcome]:
    """Set a parked scan against its line, now that it is known; the stock has moved already (R15)."""
    return decide_line_scan(
        page,
        line,
        ScanType(parked.type),
        parked.location,
        parked.quantity,
        occurred_at=parked.occurred_at,
        has_stock_moved=True,
    )


_LEAVING = frozenset((ScanType.SHIPPED, ScanType.SHORTED))
"""Scans of lines after which the units are not on hand any more."""


def decide_line_scan(
    page: Page,
    line: Line,
    kind: ScanType,
    location: str,
    quantity: int,
    *,
    occurred_at: int,
    has_stock_moved: bool = False,
) -> list[Outcome]:
    """Return what a PICKED, UNPICKED, SHIPPED or SHORTED scan does to a known line and to stock.

    ``has_stock_moved``: what the scan does to stock by itself was done when it came.
    """
    moved: list[Outcome] = []
    if not line.is_open:
        if kind in _LEAVING and not has_stock_moved:
            moved.append(StockMoved(location, -quantity))
        return [*moved, _discrepancy(line, location, f"was {kind.lower()} ({counted(quantity)}) after it was closed,")]
    if kind is ScanType.PICKED:
        return _picked(page, line, location, quantity, occurred_at)
    if kind is ScanType.UNPICKED:
        return _unpicked(line, location, quantity)
    if kind is ScanType.SHIPPED:
        if has_stock_moved:
            # Shipping takes the units off the shelf, where they are missing already: first they are put back.
            moved.append(StockMoved(location, quantity, is_put_back=True))
        return moved + _shipped(page, line, location, quantity, occurred_at)
    if not has_stock_moved:
        moved.append(StockMoved(location, -quantity))
    return moved + _shorted(line, location, quantity)


def _picked(page: Page, line: Line, location: str, quantity: int, occurred_at: int) -> list[Outcome]:
    """Units are off the shelf: the line's own, and what it lacks (R14)."""
    place = line.place(location)
    lack = quantity - (place.unpicked if place else 0)
    taken = take_over(page, line, location, lack, verb="picked", occurred_at=occurred_at) if lack > 0 else []
    return [*taken, UnitsPicked(line.order_id, line.line_id, location, quantity)]


def _shipped(page: Page, line: Line, location: str, quantity: int, occurred_at: int) -> list[Outcome]:
    """Units left: picked ones first, then the line's other units there, and what it lacks (R14)."""
    place = line.place(location)
    lack = quantity - (place.allocated if place else 0)
    taken = take_over(page, line, location, lack, verb="shipped", occurred_at=occurred_at) if lack > 0 else []
    picked = min(quantity, place.picked if place else 0)
    return [*taken, UnitsShipped(line.order_id, line.line_id, location, quantity, picked)]


def take_over(page: Page, line: Line, location: str, lack: int, *, verb: str, occurred_at: int) -> list[Outcome]:
    """Give a line units that it took out of turn: the WMS is right (R14).

    They count against what the line waits for, then against what it holds elsewhere, then raise what it ordered. The
    stock may fall short by this; the shortage phase then takes units from the worst-ranked lines or records a deficit.
    Units that raise what was ordered are an entry of their own, ranked by when they were scanned, so that nobody gains
    seniority by a scan (R5).
    """
    outcomes: list[Outcome] = []
    waiting = line.waiting
    elsewhere = sum(place.unpicked for place in line.places if place.location != location)
    moved = min(max(0, lack - waiting), elsewhere)
    if moved:
        outcomes += leave(page, line, moved, Reason.SCANNED, kept=location)
    beyond = lack - waiting - moved
    entries = line.entries
    if beyond > 0:
        added = Entry(max(occurred_at, line.terms.accepted_at), beyond)
        entries = sorted([*entries, added], key=lambda entry: entry.seniority)
        outcomes.append(DemandAdded(line.order_id, line.line_id, beyond, added.seniority))
        outcomes.append(_discrepancy(line, location, f"was {verb} for {counted(beyond)} more than it asked for,"))
    entry, _ = entry_before(entries, line.shipped + line.allocated - moved + 1)
    rank = rank_text(line, entry.seniority)
    outcomes.append(UnitsAllocated(line.order_id, line.line_id, location, lack, Reason.SCANNED, rank, 0))
    return outcomes


def _unpicked(line: Line, location: str, quantity: int) -> list[Outcome]:
    """Units are back on the shelf; cancelled ones first, and those are given up now (R12)."""
    place = line.place(location)
    picked = place.picked if place else 0
    back = min(quantity, picked)
    outcomes: list[Outcome] = []
    if back:
        outcomes.append(UnitsUnpicked(line.order_id, line.line_id, location, back))
    dropped = min(back, line.deferred)
    if dropped:
        rank = rank_text(line, line.entries[-1].seniority)
        outcomes.append(UnitsDeallocated(line.order_id, line.line_id, location, dropped, Reason.ORDER_CANCELLED, rank))
        outcomes += _drop(line, dropped)
    if back < quantity:
        excess = quantity - back
        outcomes.append(_discrepancy(line, location, f"was unpicked for {counted(excess)} more than were picked"))
    return outcomes


def _shorted(line: Line, location: str, quantity: int) -> list[Outcome]:
    """Units were not found: gone from the line, unpicked ones first, as from stock; it waits again (R7)."""
    place = line.place(location)
    held, unpicked = (place.allocated, place.unpicked) if place else (0, 0)
    lost = min(quantity, held)
    outcomes: list[Outcome] = []
    if lost > unpicked:
        outcomes.append(UnitsUnpicked(line.order_id, line.line_id, location, lost - unpicked))
    if lost:
        entry, _ = line.entry_before(line.shipped + line.allocated)
        rank = rank_text(line, entry.seniority)
        outcomes.append(UnitsDeallocated(line.order_id, line.line_id, location, lost, Reason.PICK_SHORTAGE, rank))
    # While units wait to be handed back, nothing else of the line is unpicked: what is lost was picked.
    dropped = min(lost, line.deferred)
    if dropped:
        outcomes += _drop(line, dropped)
    if lost < quantity:
        excess = quantity - lost
        outcomes.append(_discrepancy(line, location, f"was shorted for {counted(excess)} more than it had"))
    return outcomes


def _drop(line: Line, quantity: int) -> list[Outcome]:
    """End units that were cancelled after picking and are the line's no longer."""
    return [
        CancellationDeferred(line.order_id, line.line_id, -quantity),
        UnitsCancelled(line.order_id, line.line_id, quantity, Reason.ORDER_CANCELLED),
    ]


def _discrepancy(line: Line, location: str, what: str) -> DiscrepancyFound:
    message = f"Line {line.line_id} of order {line.order_id} {what} at {location}."
    return DiscrepancyFound(
        DiscrepancyKind.DISCREPANCY, message, order_id=line.order_id, line_id=line.line_id, location=location
    )
