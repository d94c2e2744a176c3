"""When waiting lines may expect their units (R17), and when that is worth telling (R18). Reads only.

What must stay true: after each event the ETA of every waiting line is that of the ASN line that covers its last waiting
unit, when free stock and then each ASN line in (eta, asn, line) order are offered to the queue in rank order, all lines
counting as PARTIAL. An event costs what it moves: see :mod:`bostream.domain.sku.cover`.
"""

from bostream.domain.keys import pack, unpack
from bostream.domain.sku.book import Page
from bostream.domain.sku.cover import LineId, Rest
from bostream.domain.sku.indexes import QueueRow, claims_of
from bostream.domain.sku.outcomes import CoverMoved, EtaMoved, EtaTold, Outcome
from bostream.domain.sku.rank import joined, rank_key, scope_of
from bostream.domain.sku.state import Cover, InboundEta, Line


class _Waited:
    """How a line waited before an event."""

    __slots__ = ("claims", "locations")

    def __init__(self, line: Line | None) -> None:
        self.locations = line.terms.locations if line else ()
        self.claims: dict[QueueRow, int] = claims_of(line) if line else {}


class World:
    """What promises depend on as it was before an event, of what the event changes.

    Attributes:
        free: on hand − allocated by location, where it was not 0.
        waited: how the lines waited that changed, in the order in which they did.
        is_supply_moved: an ASN line changed.
    """

    __slots__ = ("_is_needed", "free", "is_supply_moved", "waited")

    def __init__(self, page: Page) -> None:
        head = page.head
        # Where nothing was expected nothing was promised, and nothing is compared.
        self._is_needed = head.covers > 0
        self.free = dict(head.free)
        self.waited: dict[LineId, _Waited] = {}
        self.is_supply_moved = False

    def keep(self, page: Page, order_id: str, line_id: str) -> None:
        """Remember how a line waits; it is about to change."""
        if self._is_needed and (order_id, line_id) not in self.waited:
            self.waited[order_id, line_id] = _Waited(page.line(order_id, line_id))


def decide_promises(page: Page, world: World) -> list[Outcome]:
    """Return whose ETA moved, and how far supply reaches now.

    Args:
        page: the SKU.
        world: how it was before the event.
    """
    head = page.head
    if not head.inbound_lines and not head.covers:
        return []
    rest = Rest(page)
    _claim(page, rest, world)
    locations = {line: waited.locations for line, waited in world.waited.items()}
    rest.offer_free({location: units for location, units in world.free.items() if units > 0}, locations, is_now=False)
    rest.offer_free(head.free_stock(), {}, is_now=True)
    deficits_before = {location: -units for location, units in world.free.items() if units < 0}
    if not world.is_supply_moved and deficits_before == head.deficits() and rest.is_same():
        return []

    # From here on the event succeeds.
    outcomes: list[Outcome] = []
    reach = _reach(page, rest, outcomes)
    waiting: list[tuple[bytes, Line]] = []
    for order_id, line_id in rest.moved:
        line = page.known_line(order_id, line_id)
        if line.waiting:
            tail = page.tail(order_id, line_id)
            waiting.append((rank_key(line.terms.priority, line.entries[-1].seniority, tail), line))
        else:
            outcomes += _moved(page, line, None)
    for rank, line in sorted(waiting, key=lambda ranked: ranked[0]):
        scope = scope_of(line.terms.locations)
        reached = (row for row, cover in reach if _is_within(rank, cover) and rest.admits(scope, row.location))
        outcomes += _moved(page, line, next(reached, None))
    return outcomes


def _claim(page: Page, rest: Rest, world: World) -> None:
    """Tell what the lines that the event touched waited for, and wait for now."""
    for line_id, waited in world.waited.items():
        line = page.known_line(*line_id)
        now = claims_of(line)
        for row in {**waited.claims, **now}:
            rank = rank_key(row.priority, row.seniority, page.tail(*line_id))
            rest.claim(row.scope, rank, line_id, waited.claims.get(row, 0), now.get(row, 0))


def _reach(page: Page, rest: Rest, outcomes: list[Outcome]) -> list[tuple[InboundEta, Cover]]:
    """Offer each ASN line in order, once it has paid the deficit at its location; return how far each reaches now.

    An ASN line that is expected no more, or at another time or location, gives up all first.
    """
    deficits = page.head.deficits()
    covers = page.covers()
    supply = {page.prefix + pack(row.eta, row.asn_id, row.asn_line_id): row for row in page.expected()}
    reach: list[tuple[InboundEta, Cover]] = []
    for key in sorted({**covers, **supply}):
        cover, row = covers.get(key), supply.get(key)
        before = cover
        if before is not None and (row is None or row.location != before.location):
            rest.step(before, 0)
            before = None
        now: Cover | None = None
        if row is not None:
            paid = min(row.units, deficits.get(row.location, 0))
            if paid:
                deficits[row.location] -= paid
            now = rest.step(before or Cover(row.location), row.units - paid)
            reach.append((row, now))
        if now != cover:
            eta, asn_id, asn_line_id = unpack(key[len(page.prefix) :])
            outcomes.append(CoverMoved(str(asn_id), str(asn_line_id), int(eta), now))
    return reach


def _is_within(rank: bytes, cover: Cover) -> bool:
    """Tell whether an entry that allows the location is covered to the last unit then."""
    return rank < cover.rank or (rank == cover.rank and not cover.left)


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
