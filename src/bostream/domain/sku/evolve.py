"""The only writer of a SKU book: one outcome changes the rows that it touches, live and in replay alike.

What must stay true: ordered = allocated + shipped + cancelled + waiting for each line (I3); every row of the queue, the
holders and the head says what the lines say; what was changed is put again.
"""

from typing import assert_never

from bostream.domain.keys import pack
from bostream.domain.sku.book import Page, generation_prefix
from bostream.domain.sku.indexes import index_of, settle
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
from bostream.domain.sku.state import (
    Entry,
    Head,
    Inbound,
    InboundEta,
    Line,
    ParkedScan,
    ParkedScans,
    Place,
    Stock,
)
from bostream.domain.sku.timers import (
    INBOUND_SETTLED,
    SCANS_PARKED,
    SWEEP_PAUSE,
    arm,
    arm_sweep,
)
from bostream.errors import InvariantError


def evolve(page: Page, outcome: Outcome, log_time: int) -> None:
    """Write what an outcome says. Raises InvariantError when it contradicts the book."""
    match outcome:
        case StockMoved():
            head = page.head
            on_hand, quarantined, is_paying = outcome.on_hand, outcome.quarantined, not outcome.is_put_back
            _move_stock(page, head, outcome.location, on_hand=on_hand, quarantined=quarantined, is_paying=is_paying)
            page.book.heads.put(page.prefix, head)
        case EventRemembered():
            _remember(page, outcome, log_time)
        case UnitsAllocated() | UnitsDeallocated() | UnitsPicked() | UnitsUnpicked() | UnitsShipped():
            _move_units(page, outcome, log_time)
        case TermsChanged() | DemandAdded() | UnitsCancelled() | CancellationDeferred() | LineMoved():
            _change_demand(page, outcome, log_time)
        case EtaMoved() | EtaTold():
            _promise(page, outcome)
        case CoverMoved():
            _cover(page, outcome)
        case InboundStated() | InboundReceived():
            _expect(page, outcome, log_time)
        case DiscrepancyFound():
            if outcome.kind is DiscrepancyKind.STOCK_SHORTAGE:
                stock = page.stock(outcome.location)
                stock.is_shortage_told = True
                page.book.stock.put(page.stock_key(outcome.location), stock)
        case ScanParked():
            _park(page, outcome, log_time)
        case ScansUnparked():
            _unpark(page, outcome)
        case EventsForgotten():
            _sweep(page, outcome, log_time)
        case LineForgotten():
            page.book.lines.delete(page.prefix + page.tail(outcome.order_id, outcome.line_id))
        case InboundForgotten():
            page.book.inbound.delete(page.prefix + pack(outcome.asn_id, outcome.asn_line_id))
        case _:  # pragma: no cover
            assert_never(outcome)


# --- stock and units


def _move_stock(
    page: Page,
    head: Head,
    location: str,
    *,
    on_hand: int = 0,
    allocated: int = 0,
    picked: int = 0,
    quarantined: int = 0,
    is_paying: bool = True,
) -> None:
    """Add to a location's stock, where a deficit is paid unless not ``is_paying``; the caller puts the head."""
    key = page.stock_key(location)
    stock = page.stock(location)
    stock.on_hand += on_hand
    stock.allocated += allocated
    stock.picked += picked
    stock.quarantined += quarantined
    free = stock.on_hand - stock.allocated
    if free:
        head.free[location] = free
    else:
        head.free.pop(location, None)
    if free >= 0 and is_paying:
        stock.is_shortage_told = False
    page.book.stock.put(key, stock)


def _move_units(
    page: Page,
    outcome: UnitsAllocated | UnitsDeallocated | UnitsPicked | UnitsUnpicked | UnitsShipped,
    log_time: int,
) -> None:
    """Move units of a line at a location, and the location's stock with them."""
    line = page.known_line(outcome.order_id, outcome.line_id)
    before = index_of(line)
    quantity = outcome.quantity
    on_hand = allocated = picked = shipped = 0
    match outcome:
        case UnitsAllocated():
            allocated = quantity
        case UnitsDeallocated():
            allocated = -quantity
        case UnitsPicked():
            picked = quantity
        case UnitsUnpicked():
            picked = -quantity
        case UnitsShipped():
            on_hand, allocated, picked, shipped = -quantity, -quantity, -outcome.picked, quantity
        case _:  # pragma: no cover
            assert_never(outcome)
    place = line.place(outcome.location)
    if place is None:
        place = Place(outcome.location)
        line.places.append(place)
    place.allocated += allocated
    place.picked += picked
    if not 0 <= place.picked <= place.allocated:
        raise InvariantError(f"line {line.order_id}/{line.line_id} cannot do {outcome}: it has {place}")
    if not place.allocated:
        line.places.remove(place)
    line.allocated += allocated
    line.picked += picked
    line.shipped += shipped
    if line.deferred and shipped:
        # Units that are wanted ship first; what is left to hand back is at most what is still picked (R12).
        line.deferred = min(line.deferred, line.picked)
    head = page.head
    head.sequence += 1
    _move_stock(page, head, outcome.location, on_hand=on_hand, allocated=allocated, picked=picked)
    settle(page, head, line, before, log_time)


# --- demand


def _change_demand(
    page: Page,
    outcome: TermsChanged | DemandAdded | UnitsCancelled | CancellationDeferred | LineMoved,
    log_time: int,
) -> None:
    """Change what a line wants."""
    if isinstance(outcome, TermsChanged):
        line = page.line(outcome.order_id, outcome.line_id)
        if line is None:
            line = Line(outcome.order_id, outcome.line_id, outcome.terms)
    else:
        line = page.known_line(outcome.order_id, outcome.line_id)
    before = index_of(line)
    head = page.head
    match outcome:
        case TermsChanged():
            line.terms = outcome.terms
            _know_locations(page, outcome.terms.locations)
        case DemandAdded():
            line.ordered += outcome.quantity
            line.is_moved = False
            _add_entry(line, outcome.seniority, outcome.quantity)
        case UnitsCancelled():
            if outcome.quantity > line.waiting:
                raise InvariantError(f"line {line.order_id}/{line.line_id} cannot do {outcome}: {line.waiting} wait")
            head.sequence += 1
            line.cancelled += outcome.quantity
            _shrink(line, outcome.quantity)
        case CancellationDeferred():
            line.deferred += outcome.quantity
            if outcome.quantity < 0:
                line.is_moved = False
        case LineMoved():
            line.is_moved = True
        case _:  # pragma: no cover
            assert_never(outcome)
    settle(page, head, line, before, log_time)


def _know_locations(page: Page, locations: tuple[str, ...]) -> None:
    """Give each a stock row: its position may be published from now on, so it must be found again later."""
    for location in locations:
        key = page.stock_key(location)
        if page.book.stock.get(key) is None:
            page.book.stock.put(key, Stock())


def _add_entry(line: Line, seniority: int, quantity: int) -> None:
    """Add demand at its place by seniority; demand of the same seniority is one entry."""
    entries = line.entries
    at = len(entries)
    while at and entries[at - 1].seniority > seniority:
        at -= 1
    if at and entries[at - 1].seniority == seniority:
        entries[at - 1].demand += quantity
    else:
        entries.insert(at, Entry(seniority, quantity))


def _shrink(line: Line, quantity: int) -> None:
    """Take demand away, worst entry first (R5)."""
    while quantity:
        worst = line.entries[-1]
        taken = min(quantity, worst.demand)
        worst.demand -= taken
        quantity -= taken
        if not worst.demand:
            line.entries.pop()


# --- promises and inbound


def _promise(page: Page, outcome: EtaMoved | EtaTold) -> None:
    """Set a line's promise, as it is (R17) or as it was last told (R18)."""
    line = page.known_line(outcome.order_id, outcome.line_id)
    if isinstance(outcome, EtaMoved):
        head = page.head
        head.promised_lines += (outcome.eta is not None) - (line.eta is not None)
        page.book.heads.put(page.prefix, head)
        line.eta, line.eta_source = outcome.eta, outcome.source
    else:
        line.eta_told = outcome.eta
    page.book.lines.put(page.prefix + page.tail(outcome.order_id, outcome.line_id), line)


def _cover(page: Page, outcome: CoverMoved) -> None:
    """Keep how far an ASN line reaches into the queue."""
    covers = page.book.covers
    key = page.prefix + pack(outcome.eta, outcome.asn_id, outcome.asn_line_id)
    change = (outcome.cover is not None) - (covers.get(key) is not None)
    if outcome.cover is None:
        covers.delete(key)
    else:
        covers.put(key, outcome.cover)
    if change:
        head = page.head
        head.covers += change
        page.book.heads.put(page.prefix, head)


def _expect(page: Page, outcome: InboundStated | InboundReceived, log_time: int) -> None:
    """Change an ASN line, with its row in the order of supply and its location's open units."""
    line_id = outcome.line.line_id if isinstance(outcome, InboundStated) else outcome.asn_line_id
    inbound = page.inbound(outcome.asn_id, line_id) or Inbound(outcome.asn_id, line_id)
    head = page.head
    _count_inbound(page, head, inbound, is_gone=True)
    if isinstance(outcome, InboundStated):
        is_settled_now = outcome.closed and not inbound.is_closed
        inbound.location, inbound.eta, inbound.quantity = outcome.location, outcome.eta, outcome.line.quantity
        inbound.is_announced, inbound.is_closed = True, outcome.closed
        if not outcome.closed:
            inbound.settled_at = None
    else:
        inbound.received += outcome.quantity
        is_settled_now = not inbound.is_announced and inbound.settled_at is None
    _count_inbound(page, head, inbound, is_gone=False)
    if is_settled_now:
        inbound.settled_at = log_time
        due = log_time + page.book.rules.closed_retention
        arm(page.book, due, INBOUND_SETTLED, page.sku, outcome.asn_id, line_id)
    page.book.inbound.put(page.prefix + pack(outcome.asn_id, line_id), inbound)
    page.book.heads.put(page.prefix, head)


def _count_inbound(page: Page, head: Head, inbound: Inbound, *, is_gone: bool) -> None:
    """Take an ASN line's open units out of, or into, the sums and the order of supply; the caller puts the head."""
    if not inbound.is_announced:
        return
    units = inbound.open_units
    key = page.stock_key(inbound.location)
    stock = page.stock(inbound.location)
    stock.inbound += -units if is_gone else units
    page.book.stock.put(key, stock)
    if not units:
        return
    row_key = page.prefix + pack(inbound.eta, inbound.asn_id, inbound.asn_line_id)
    if is_gone:
        head.inbound_lines -= 1
        page.book.inbound_etas.delete(row_key)
    else:
        head.inbound_lines += 1
        row = InboundEta(inbound.asn_id, inbound.asn_line_id, inbound.location, inbound.eta, units)
        page.book.inbound_etas.put(row_key, row)


# --- memory


def _remember(page: Page, outcome: EventRemembered, log_time: int) -> None:
    """Remember that a scan took effect, in the generation of this log time."""
    horizon = page.book.rules.duplicate_horizon
    generation = log_time // horizon
    key = generation_prefix(generation) + page.prefix + pack(outcome.source, outcome.event_id)
    page.book.seen.put(key, log_time)
    # The last scan of this generation leaves the horizon at the end of the next one.
    arm_sweep(page.book, (generation + 2) * horizon, generation)


def _sweep(page: Page, outcome: EventsForgotten, log_time: int) -> None:
    """Forget a slice of a generation, and ask to go on when there is more."""
    book = page.book
    keys = book.seen_keys(outcome.generation, outcome.rows)
    for key in keys:
        book.seen.delete(key)
    if len(keys) == outcome.rows:
        arm_sweep(book, log_time + SWEEP_PAUSE, outcome.generation)


def _park(page: Page, outcome: ScanParked, log_time: int) -> None:
    """Keep a scan for a line that is not known yet (R15)."""
    key = page.prefix + page.tail(outcome.order_id, outcome.line_id)
    parked = page.parked(outcome.order_id, outcome.line_id)
    if parked is None:
        parked = ParkedScans()
        head = page.head
        head.parked_lines += 1
        page.book.heads.put(page.prefix, head)
    scan = ParkedScan(outcome.location, outcome.quantity, outcome.type, log_time, outcome.occurred_at)
    parked.scans.append(scan)
    page.book.parked.put(key, parked)
    due = log_time + page.book.rules.duplicate_horizon
    arm(page.book, due, SCANS_PARKED, page.sku, outcome.order_id, outcome.line_id)


def _unpark(page: Page, outcome: ScansUnparked) -> None:
    """Let go of the oldest parked scans of a line."""
    key = page.prefix + page.tail(outcome.order_id, outcome.line_id)
    parked = page.parked(outcome.order_id, outcome.line_id)
    if parked is None:
        raise InvariantError(f"sku {page.sku!r} has no parked scans for {outcome.order_id}/{outcome.line_id}")
    del parked.scans[: outcome.scans]
    if parked.scans:
        page.book.parked.put(key, parked)
        return
    page.book.parked.delete(key)
    head = page.head
    head.parked_lines -= 1
    page.book.heads.put(page.prefix, head)
