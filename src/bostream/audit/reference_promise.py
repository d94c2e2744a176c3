"""R17 from scratch: which inbound line covers the last waiting unit of each waiting line.

What must stay true: the answer depends only on what waits, what is free and what is inbound now, never on the past.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bostream.audit.reference_line import LineKey, ReferenceLine
from bostream.audit.reference_stock import ReferenceInbound, ReferenceStock


@dataclass(frozen=True, slots=True)
class Promise:
    """When the last waiting unit of a line is expected, and the ASN line (asn id, line id) that brings it."""

    eta: int
    source: tuple[str, str]


@dataclass(slots=True)
class _Want:
    """A waiting entry during the walk."""

    line: ReferenceLine
    units: int


def promises(
    lines: Iterable[ReferenceLine],
    stock: Mapping[str, ReferenceStock],
    inbound: Mapping[tuple[str, str], ReferenceInbound],
) -> dict[LineKey, Promise | None]:
    """Return the promise of every waiting line; None: inbound does not cover it (R17)."""
    wants = [
        _Want(line, turn.units)
        for turn, line in sorted(
            ((turn, line) for line in lines for turn in line.turns_as_partial()), key=lambda pair: pair[0].rank
        )
    ]
    last: dict[LineKey, Promise | None] = {want.line.key: None for want in wants}
    free = {location: at.free for location, at in stock.items()}
    _offer_free_stock(wants, free)
    for source, notice in sorted(inbound.items(), key=lambda item: (item[1].eta, item[0])):
        if notice.open_units > 0:
            wants = [want for want in wants if want.units > 0]
            _offer_inbound(wants, notice, source, free, last)
    for want in wants:
        if want.units > 0:
            last[want.line.key] = None
    return last


def _offer_free_stock(wants: list[_Want], free: dict[str, int]) -> None:
    """R17: what lines that were passed over left free is offered in rank order, each from its places in R8 order."""
    for want in wants:
        for location in take_order(want.line, free):
            taken = min(want.units, free[location])
            want.units -= taken
            free[location] -= taken


def _offer_inbound(
    wants: list[_Want],
    notice: ReferenceInbound,
    source: tuple[str, str],
    free: dict[str, int],
    last: dict[LineKey, Promise | None],
) -> None:
    """R17: as a receipt would be offered. It pays what the location owes first (R13), then the queue in rank order."""
    free[notice.location] = free.get(notice.location, 0) + notice.open_units
    for want in wants:
        if free[notice.location] <= 0:
            return
        if want.line.allows(notice.location):
            taken = min(want.units, free[notice.location])
            want.units -= taken
            free[notice.location] -= taken
            last[want.line.key] = Promise(notice.eta, source)


def take_order(line: ReferenceLine, free: Mapping[str, int]) -> list[str]:
    """R8: its list; without one, the location with most free stock, ties by location id, then the next."""
    if line.terms.locations:
        return [location for location in dict.fromkeys(line.terms.locations) if free.get(location, 0) > 0]
    return sorted((location for location in free if free[location] > 0), key=lambda at: (-free[at], at))
