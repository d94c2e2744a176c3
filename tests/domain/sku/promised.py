"""R17 the slow and obvious way, for comparison: every unit that waits, every unit of supply, one after the other."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from bostream.domain.sku.state import InboundEta, Line

LineId = tuple[str, str]
Promise = tuple[int | None, str | None]
Unit = tuple[tuple[int, int, str, str, int], Line]


def promised_from_scratch(
    lines: Iterable[Line], free: Mapping[str, int], supply: Sequence[InboundEta]
) -> tuple[dict[LineId, Promise], list[int]]:
    """Return (eta, source) of each line that waits, and how many units of each ASN line find a taker.

    Args:
        lines: all lines.
        free: on hand − allocated by location.
        supply: ASN lines with units open, in order.
    """
    queue = sorted((unit for line in lines for unit in _units(line)), key=lambda unit: unit[0])
    promised: dict[LineId, Promise] = {(line.order_id, line.line_id): (None, None) for _, line in queue}
    stock = {location: units for location, units in free.items() if units > 0}
    lacking: dict[LineId, int] = {}
    queue = [
        unit for _, claim in groupby(queue, key=lambda unit: unit[0][:4]) for unit in _less_free(list(claim), stock)
    ]
    for _, line in queue:
        lacking[line.order_id, line.line_id] = lacking.get((line.order_id, line.line_id), 0) + 1
    owed = {location: -units for location, units in free.items() if units < 0}
    taken = []
    for row in supply:
        paid = min(row.units, owed.get(row.location, 0))
        if paid:
            owed[row.location] -= paid
        units = row.units - paid
        rest = []
        for rank, line in queue:
            if units and (not line.terms.locations or row.location in line.terms.locations):
                units -= 1
                key = line.order_id, line.line_id
                lacking[key] -= 1
                if not lacking[key]:
                    promised[key] = row.eta, "/".join(_escaped(part) for part in (row.asn_id, row.asn_line_id))
            else:
                rest.append((rank, line))
        taken.append(row.units - paid - units)
        queue = rest
    return promised, taken


def _units(line: Line) -> list[Unit]:
    """Return the waiting units of a line, each with its rank."""
    demand = [entry.seniority for entry in line.entries for _ in range(entry.demand)]
    waiting = demand[len(demand) - line.waiting :]
    return [
        ((line.terms.priority, seniority, line.order_id, line.line_id, number), line)
        for number, seniority in enumerate(waiting)
    ]


def _less_free(claim: list[Unit], stock: dict[str, int]) -> list[Unit]:
    """Let the units of one rank of a line have what is free for them, place by place (R8); return the others."""
    locations: Iterable[str] = claim[0][1].terms.locations
    for location in locations or sorted(stock, key=lambda at: (-stock[at], at)):
        drawn = min(len(claim), stock.get(location, 0))
        if drawn:
            stock[location] -= drawn
            claim = claim[drawn:]
    return claim


def _escaped(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F")
