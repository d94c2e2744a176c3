"""Who gives units back when a location has fewer than are allocated there (R13). Reads only.

What must stay true: exactly the difference is taken, worst rank first, unit by unit; picked units are never taken; a
deficit is told once, until it is paid.
"""

from bisect import insort
from collections.abc import Iterator
from typing import NamedTuple

from bostream.domain.sku.book import Page
from bostream.domain.sku.outcomes import DiscrepancyFound, DiscrepancyKind, Outcome, Reason, UnitsDeallocated
from bostream.domain.sku.rank import counted, rank_key, rank_text
from bostream.domain.sku.state import HolderEntry, Line
from bostream.errors import InvariantError


class _Holding(NamedTuple):
    """What a line could still lose, at the rank of its worst entry that has units.

    ``filled`` is where its units end on its axis, ``here`` how many unpicked ones it has at the short location. Rank
    keys are unique, so comparing holdings is comparing ranks.
    """

    rank: bytes
    line: Line
    filled: int
    here: int


def decide_shortage(page: Page, location: str, reason: Reason) -> list[Outcome]:
    """Return who loses units at a location where more is allocated than on hand, and the deficit that remains."""
    stock = page.stock(location)
    short = stock.allocated - stock.on_hand
    taken = min(short, stock.allocated - stock.picked)

    # From here on the event succeeds.
    outcomes = _take_back(page, location, taken, reason) if taken else []
    if taken < short and not stock.is_shortage_told:
        message = f"{location} has {counted(short - taken)} of {page.sku} fewer than are picked or have left."
        outcomes.append(DiscrepancyFound(DiscrepancyKind.STOCK_SHORTAGE, message, location=location))
    return outcomes


def _take_back(page: Page, location: str, quantity: int, reason: Reason) -> list[Outcome]:
    """Take units at a location from the worst-ranked entries that have any."""
    outcomes: list[Outcome] = []
    holders = page.holders(location)
    # Lines that lost their worst entry's units and come again at the rank of the one before; worst last.
    again: list[_Holding] = []
    fresh = _next_holding(page, holders, location)
    while quantity:
        if again and (fresh is None or again[-1].rank > fresh.rank):
            worst = again.pop()
        elif fresh is not None:
            worst, fresh = fresh, _next_holding(page, holders, location)
        else:
            raise InvariantError(f"sku {page.sku!r} at {location!r} lacks {quantity} units that nobody holds")
        line = worst.line
        entry, start = line.entry_before(worst.filled)
        in_entry = worst.filled - max(start, line.shipped + line.picked)
        taken = min(quantity, worst.here, in_entry)
        rank = rank_text(line, entry.seniority)
        outcomes.append(UnitsDeallocated(line.order_id, line.line_id, location, taken, reason, rank))
        quantity -= taken
        if worst.here > taken:
            insort(again, _holding(page, line, worst.filled - taken, worst.here - taken))
    return outcomes


def _next_holding(page: Page, holders: Iterator[tuple[bytes, HolderEntry]], location: str) -> _Holding | None:
    """Return the next worse-ranked line that has unpicked units here."""
    for rank, holder in holders:
        line = page.known_line(holder.order_id, holder.line_id)
        place = line.place(location)
        if place is None:
            raise InvariantError(f"sku {page.sku!r} has a holder row without units: {holder} at {location!r}")
        return _Holding(rank, line, line.shipped + line.allocated, place.unpicked)
    return None


def _holding(page: Page, line: Line, filled: int, here: int) -> _Holding:
    entry, _ = line.entry_before(filled)
    tail = page.tail(line.order_id, line.line_id)
    return _Holding(rank_key(line.terms.priority, entry.seniority, tail), line, filled, here)
