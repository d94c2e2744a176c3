"""The phases of one event on a SKU book: the event itself, shortages, the queue, promises.

What must stay true: each phase decides by reading only, and each outcome is handed out right after ``evolve`` wrote it,
so that its after-state can be read from the book. The caller must take every outcome.
"""

from collections.abc import Iterable, Iterator
from typing import assert_never

from bostream.domain.sku.book import Book, Page
from bostream.domain.sku.cover import LineId
from bostream.domain.sku.decide_demand import decide_demand
from bostream.domain.sku.decide_inbound import decide_inbound
from bostream.domain.sku.decide_scan import decide_parked_scan, decide_scan
from bostream.domain.sku.decide_timer import decide_timer
from bostream.domain.sku.events import (
    DemandChanged,
    DemandReason,
    InboundChanged,
    LineRefreshed,
    ScanType,
    SkuEvent,
    StockScanned,
)
from bostream.domain.sku.evolve import evolve
from bostream.domain.sku.outcomes import (
    DemandAdded,
    InboundReceived,
    InboundStated,
    Outcome,
    Reason,
    ScansUnparked,
    StockMoved,
    TermsChanged,
    UnitsAllocated,
    UnitsCancelled,
    UnitsDeallocated,
    UnitsUnpicked,
)
from bostream.domain.sku.promise import World, decide_promises
from bostream.domain.sku.serve import decide_service
from bostream.domain.sku.shortage import decide_shortage
from bostream.domain.state import Timer

_GAIN_OF_SCAN = {
    ScanType.RECEIVED: Reason.STOCK_RECEIVED,
    ScanType.RETURNED: Reason.STOCK_RETURNED,
    ScanType.COUNTED: Reason.STOCK_FOUND,
    ScanType.ADJUSTED: Reason.STOCK_FOUND,
    ScanType.UNQUARANTINED: Reason.UNQUARANTINED,
    ScanType.TRANSFERRED_IN: Reason.TRANSFER,
}
_LOSS_OF_SCAN = {
    ScanType.COUNTED: Reason.COUNT_SHORTAGE,
    ScanType.ADJUSTED: Reason.COUNT_SHORTAGE,
    ScanType.QUARANTINED: Reason.QUARANTINE,
    ScanType.TRANSFERRED_OUT: Reason.TRANSFER,
}
_STIRRING = frozenset(
    (
        StockMoved,
        TermsChanged,
        DemandAdded,
        UnitsCancelled,
        UnitsAllocated,
        UnitsDeallocated,
        UnitsUnpicked,
        InboundStated,
        InboundReceived,
    )
)
"""Outcomes after which free stock, the queue or what is expected may be another, so that the later phases have work."""


_CLAIMING = (TermsChanged, DemandAdded, UnitsCancelled, UnitsAllocated, UnitsDeallocated)
"""Of these, those after which a line waits for other units, or elsewhere, or at another rank."""
_SUPPLYING = (InboundStated, InboundReceived)
"""Of these, those after which something else is expected."""


class _Why:
    """Why units move in the later phases of an event.

    Attributes:
        gain: for lines that get what the event set free.
        loss: for lines that lose units, and for these lines when they get others instead.
        own_order: the order that the event is about, whose lines get units for the reason ``own``.
        lost: lines that lost units by this event.
        world: how the SKU was before, as far as promises ask.
        is_stirred: whether the later phases have work.
    """

    __slots__ = ("gain", "is_stirred", "loss", "lost", "own", "own_order", "world")

    def __init__(
        self, world: World, gain: Reason, loss: Reason, own_order: str | None = None, own: Reason | None = None
    ) -> None:
        self.world = world
        self.gain = gain
        self.loss = loss
        self.own_order = own_order
        self.own = own or gain
        self.lost: set[LineId] = set()
        self.is_stirred = False

    def reason_of(self, order_id: str, line_id: str) -> Reason:
        """Return why this line gets units now."""
        if order_id == self.own_order:
            return self.own
        if (order_id, line_id) in self.lost:
            return self.loss
        return self.gain

    def expect(self, page: Page, outcome: Outcome) -> None:
        """Remember what is about to change."""
        if isinstance(outcome, _CLAIMING):
            self.world.keep(page, outcome.order_id, outcome.line_id)
        elif isinstance(outcome, _SUPPLYING):
            self.world.is_supply_moved = True

    def note(self, outcome: Outcome) -> None:
        """Remember what later phases ask for."""
        if type(outcome) in _STIRRING:
            self.is_stirred = True
            if isinstance(outcome, UnitsDeallocated):
                self.lost.add((outcome.order_id, outcome.line_id))


def handle(book: Book, event: SkuEvent, log_time: int) -> Iterator[Outcome]:
    """Apply one event; yield each outcome right after the book shows it.

    Args:
        book: the book of the partition.
        event: what happened.
        log_time: running maximum of the log's timestamps (µs), the only time that the rules know (R21).
    """
    page = book.page(event.sku)
    match event:
        case StockScanned():
            outcomes = decide_scan(page, event, log_time)
            why = _why_of_scan(page, event)
            yield from _write(page, outcomes, why, log_time)
        case DemandChanged():
            why = _why_of_demand(page, event)
            yield from _change_demand(page, event, why, log_time)
        case InboundChanged():
            why = _Why(World(page), Reason.STOCK_FREED, Reason.COUNT_SHORTAGE)
            yield from _write(page, decide_inbound(page, event), why, log_time)
        case LineRefreshed():
            return
        case _:  # pragma: no cover
            assert_never(event)
    yield from _settle(page, why, log_time)


def fire(book: Book, timer: Timer, log_time: int) -> Iterator[Outcome]:
    """A timer of a book is due (R21): yield what it causes, as :func:`handle` does."""
    page, outcomes = decide_timer(book, timer, log_time)
    for outcome in outcomes:
        evolve(page, outcome, log_time)
        yield outcome


def _write(page: Page, outcomes: Iterable[Outcome], why: _Why, log_time: int) -> Iterator[Outcome]:
    """Evolve and hand out outcomes one by one."""
    for outcome in outcomes:
        why.expect(page, outcome)
        evolve(page, outcome, log_time)
        why.note(outcome)
        yield outcome


def _change_demand(page: Page, event: DemandChanged, why: _Why, log_time: int) -> Iterator[Outcome]:
    """All lines enter the queue before any is served (R5); scans that came first are set against them then (R15)."""
    for demand in event.lines:
        yield from _write(page, decide_demand(page, event, demand), why, log_time)
    if not page.head.parked_lines:
        return
    for demand in event.lines:
        parked = page.parked(event.order_id, demand.line_id)
        if parked is None or page.line(event.order_id, demand.line_id) is None:
            continue
        scans = list(parked.scans)
        unparked = ScansUnparked(event.order_id, demand.line_id, len(scans))
        yield from _write(page, (unparked,), why, log_time)
        for scan in scans:
            line = page.known_line(event.order_id, demand.line_id)
            yield from _write(page, decide_parked_scan(page, line, scan), why, log_time)


def _settle(page: Page, why: _Why, log_time: int) -> Iterator[Outcome]:
    """Bring the book to rest: shortages first, then the queue, then promises."""
    if not why.is_stirred:
        return
    for location in sorted(page.head.deficits()):
        yield from _write(page, decide_shortage(page, location, why.loss), why, log_time)
    yield from _write(page, decide_service(page, why.reason_of), why, log_time)
    yield from _write(page, decide_promises(page, why.world), why, log_time)


def _why_of_scan(page: Page, scan: StockScanned) -> _Why:
    gain = _GAIN_OF_SCAN.get(scan.type, Reason.STOCK_FREED)
    return _Why(World(page), gain, _LOSS_OF_SCAN.get(scan.type, Reason.PICK_SHORTAGE))


def _why_of_demand(page: Page, event: DemandChanged) -> _Why:
    own = Reason.STOCK_FREED if event.reason is DemandReason.ORDER_CANCELLED else Reason(event.reason)
    return _Why(World(page), Reason.STOCK_FREED, Reason.PICK_SHORTAGE, event.order_id, own)
