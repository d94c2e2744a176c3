"""When waiting lines may expect their units (R17), and when that is worth telling (R18). Reads only.

What must stay true: after each event the ETA of every waiting line is that of the ASN line that covers its last waiting
unit, when free stock and then each ASN line in (eta, asn, line) order are offered to the queue in rank order, all lines
counting as PARTIAL. This version walks the whole queue of a SKU that has supply or promises, and no other.
"""

from collections.abc import Iterable

from bostream.domain.sku.book import Page
from bostream.domain.sku.outcomes import EtaMoved, EtaTold, Outcome
from bostream.domain.sku.places import drawing_order
from bostream.domain.sku.rank import joined, rank_key
from bostream.domain.sku.state import InboundEta, Line

LineId = tuple[str, str]
"""Order id and line id."""


class _Claim:
    """One waiting entry in the walk: what it still lacks, and the ASN line that covered its last unit."""

    __slots__ = ("cover", "lacks", "line", "rank")

    def __init__(self, rank: bytes, line: Line, lacks: int) -> None:
        self.rank = rank
        self.line = line
        self.lacks = lacks
        self.cover: InboundEta | None = None


def decide_promises(page: Page, served: Iterable[LineId]) -> list[Outcome]:
    """Return whose ETA moved.

    Args:
        page: the SKU.
        served: the lines that lost waiting units by this event; those that wait no more have no ETA any more.
    """
    head = page.head
    if not head.inbound_lines and not head.promised_lines:
        return []

    # From here on the event succeeds.
    outcomes: list[Outcome] = []
    for order_id, line_id in served:
        line = page.line(order_id, line_id)
        if line is not None and not line.waiting:
            outcomes += _moved(page, line, None)
    if not head.waiting:
        return outcomes
    claims = _claims(page)
    _offer_free(claims, head.free_stock())
    if head.inbound_lines:
        _offer_inbound(claims, page.expected(), head.deficits())
    # The last of a line's claims by rank holds its last unit.
    worst = {(claim.line.order_id, claim.line.line_id): claim for claim in claims}
    for claim in worst.values():
        outcomes += _moved(page, claim.line, claim.cover)
    return outcomes


def _claims(page: Page) -> list[_Claim]:
    """Return all waiting entries in rank order."""
    claims: list[_Claim] = []
    for _, row in page.book.queue.scan(page.prefix):
        line = page.known_line(row.order_id, row.line_id)
        if line.is_whole:
            entries = [(entry.seniority, units) for entry, units in line.waiting_entries()]
        else:
            entries = [(row.seniority, row.units)]
        for seniority, units in entries:
            rank = rank_key(line.terms.priority, seniority, page.tail(row.order_id, row.line_id))
            claims.append(_Claim(rank, line, units))
    claims.sort(key=lambda claim: claim.rank)
    return claims


def _offer_free(claims: list[_Claim], free: dict[str, int]) -> None:
    """Offer what passed-over lines left, line by line, each from its places in R8 order."""
    for claim in claims:
        if not free:
            return
        for location in drawing_order(claim.line.terms.locations, free):
            taken = min(claim.lacks, free[location])
            claim.lacks -= taken
            if taken == free[location]:
                del free[location]
            else:
                free[location] -= taken
            if not claim.lacks:
                break


def _offer_inbound(claims: list[_Claim], supply: Iterable[InboundEta], deficits: dict[str, int]) -> None:
    """Offer each ASN line to the claims that allow its location, in rank order, once it has paid the deficit there."""
    by_scope: dict[tuple[str, ...], list[_Claim]] = {}
    for claim in reversed(claims):
        if claim.lacks:
            by_scope.setdefault(claim.line.terms.locations, []).append(claim)
    for expected in supply:
        paid = min(expected.units, deficits.get(expected.location, 0))
        if paid:
            deficits[expected.location] -= paid
        units = expected.units - paid
        admitted = [stack for locations, stack in by_scope.items() if not locations or expected.location in locations]
        while units:
            tops = [stack[-1] for stack in admitted if stack]
            if not tops:
                break
            best = min(tops, key=lambda claim: claim.rank)
            taken = min(units, best.lacks)
            units -= taken
            best.lacks -= taken
            if not best.lacks:
                best.cover = expected
                by_scope[best.line.terms.locations].pop()


def _moved(page: Page, line: Line, cover: InboundEta | None) -> list[Outcome]:
    """Return what there is to say when a line's promise is this now."""
    eta = cover.eta if cover else None
    source = joined(cover.asn_id, cover.asn_line_id) if cover else None
    if eta == line.eta and source == line.eta_source:
        return []
    outcomes: list[Outcome] = [EtaMoved(line.order_id, line.line_id, eta, source)]
    if _is_worth_telling(line.eta_told, eta, page.book.rules.eta_change_threshold):
        outcomes.append(EtaTold(line.order_id, line.line_id, eta))
    return outcomes


def _is_worth_telling(told: int | None, eta: int | None, threshold: int) -> bool:
    """Tell an ETA that appears, goes, or moved far enough from the one last told (R18)."""
    if eta == told:
        return False
    return eta is None or told is None or abs(eta - told) >= threshold
