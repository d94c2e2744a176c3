"""All SKU books of a partition, as they are read: :class:`Book` holds the tables, a :class:`Page` is one SKU's part.

What must stay true: nothing here writes. The publisher reads the after-state of each outcome through ``view``,
``position`` and ``sequence``.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from heapq import merge
from itertools import islice
from operator import itemgetter

import msgspec

from bostream.domain.keys import pack
from bostream.domain.sku.rank import line_rank_text
from bostream.domain.sku.state import (
    CLAIMS,
    COVERS,
    HEADS,
    HOLDERS,
    INBOUND,
    INBOUND_ETAS,
    LANES,
    LINES,
    PARKED,
    QUEUE,
    SEEN,
    STOCK,
    Cover,
    Head,
    HolderEntry,
    Inbound,
    InboundEta,
    Line,
    ParkedScans,
    QueueEntry,
    Stock,
)
from bostream.domain.state import TIMERS, State
from bostream.errors import InvariantError

PAGES_MAX = 4_096
"""Pages kept, so that the keys of busy SKUs need not be packed again for each event."""
LOCATIONS_PACKED_MAX = 256
"""Keys of locations kept on each page."""

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR


class Rules(msgspec.Struct, frozen=True):
    """The constants of the rules, all in µs of log time and > 0.

    Attributes:
        duplicate_horizon: how long the same scan again has no effect (I8) and parked scans wait for their line (R15).
        eta_change_threshold: how far an ETA must move before it is told again (R18).
        closed_retention: how long closed order and ASN lines are remembered.
    """

    duplicate_horizon: int = 7 * _DAY
    eta_change_threshold: int = 24 * _HOUR
    closed_retention: int = 30 * _DAY


class LineView(msgspec.Struct, frozen=True):
    """How a line stands (contract: ``allocations``, ``backorder-lines``).

    Attributes:
        status: WAITING, PARTIALLY_ALLOCATED, ALLOCATED, PARTIALLY_SHIPPED, or None once nothing of it is open.
        is_moved: it lives under another SKU; this book no longer shows it.
        eta, eta_source: the present promise; ``eta_told``: the one that the customer knows.
        rank: where it waits next, in readable form.
    """

    order_id: str
    line_id: str
    order_version: int
    customer_id: str
    ordered: int
    allocated: int
    picked: int
    shipped: int
    cancelled: int
    waiting: int
    status: str | None
    is_moved: bool
    accepted_at: int
    waiting_since: int | None
    eta: int | None
    eta_source: str | None
    eta_told: int | None
    rank: str


class Position(msgspec.Struct, frozen=True):
    """Stock at one location (contract: ``stock-positions``)."""

    on_hand: int
    allocated: int
    picked: int
    quarantined: int
    available: int
    deficit: int
    waiting: int
    inbound: int
    next_eta: int | None


class Totals(msgspec.Struct, frozen=True):
    """What waits on one SKU."""

    waiting_units: int
    waiting_lines: int


class Book:
    """The tables of one partition and the constants of its rules."""

    __slots__ = (
        "claims",
        "covers",
        "heads",
        "holders",
        "inbound",
        "inbound_etas",
        "lanes",
        "lines",
        "pages",
        "parked",
        "queue",
        "rules",
        "seen",
        "stock",
        "timers",
    )

    def __init__(self, state: State, rules: Rules) -> None:
        self.rules = rules
        self.heads = state.table(HEADS)
        self.stock = state.table(STOCK)
        self.lines = state.table(LINES)
        self.lanes = state.table(LANES)
        self.queue = state.table(QUEUE)
        self.claims = state.table(CLAIMS)
        self.holders = state.table(HOLDERS)
        self.inbound = state.table(INBOUND)
        self.inbound_etas = state.table(INBOUND_ETAS)
        self.covers = state.table(COVERS)
        self.parked = state.table(PARKED)
        self.seen = state.table(SEEN)
        self.timers = state.table(TIMERS)
        self.pages: dict[str, Page] = {}

    def page(self, sku: str) -> "Page":
        """Return one SKU's part of the book."""
        page = self.pages.get(sku)
        if page is None:
            if len(self.pages) >= PAGES_MAX:
                self.pages.clear()
            page = self.pages[sku] = Page(self, sku)
        return page

    def view(self, sku: str, order_id: str, line_id: str) -> LineView | None:
        """Return how a line stands; None when it is unknown or was forgotten."""
        line = self.page(sku).line(order_id, line_id)
        return None if line is None else view_of(line)

    def position(self, sku: str, location: str) -> Position:
        """Return the stock of a SKU at a location; all 0 where nothing ever was."""
        return self.page(sku).position(location)

    def sequence(self, sku: str) -> int:
        """Return the ``sku_sequence`` of the newest published allocation outcome: 1, 2, 3 … (0: none yet)."""
        return self.page(sku).head.sequence

    def totals(self, sku: str) -> Totals:
        """Return what waits on a SKU."""
        head = self.page(sku).head
        return Totals(head.waiting, head.waiting_lines)

    def seen_keys(self, generation: int, rows_max: int) -> list[bytes]:
        """Return the keys of at most so many scans remembered in a generation."""
        return [key for key, _ in islice(self.seen.scan(pack(generation)), rows_max)]


class Page:
    """One SKU's part of the book. It remembers packed keys and nothing else, so it may be kept as long as one likes."""

    __slots__ = ("_line_id", "_line_tail", "_order_id", "_stock_keys", "book", "prefix", "sku")

    def __init__(self, book: Book, sku: str) -> None:
        self.book = book
        self.sku = sku
        self.prefix = pack(sku)
        # An event mostly speaks of one line: its key is packed once.
        self._order_id = self._line_id = ""
        self._line_tail = pack("", "")
        self._stock_keys: dict[str, bytes] = {}

    @property
    def head(self) -> Head:
        """The SKU's head row as it is now; a new one when there is none."""
        return self.book.heads.get(self.prefix) or Head()

    def line(self, order_id: str, line_id: str) -> Line | None:
        """Return a line, open or closed."""
        return self.book.lines.get(self.prefix + self.tail(order_id, line_id))

    def known_line(self, order_id: str, line_id: str) -> Line:
        """Return a line that must be there. Raises InvariantError when it is not."""
        line = self.line(order_id, line_id)
        if line is None:
            raise InvariantError(f"sku {self.sku!r} knows no line {order_id}/{line_id}")
        return line

    def tail(self, order_id: str, line_id: str) -> bytes:
        """Return order id and line id, packed: the end of a line's key and of its rank keys."""
        if order_id != self._order_id or line_id != self._line_id:
            self._order_id, self._line_id = order_id, line_id
            self._line_tail = pack(order_id, line_id)
        return self._line_tail

    def stock_key(self, location: str) -> bytes:
        """Return the key of a location's stock row, which its holder rows begin with too."""
        key = self._stock_keys.get(location)
        if key is None:
            if len(self._stock_keys) >= LOCATIONS_PACKED_MAX:
                self._stock_keys.clear()
            key = self._stock_keys[location] = self.prefix + pack(location)
        return key

    def stock(self, location: str) -> Stock:
        """Return the stock at a location; a new row when there is none."""
        return self.book.stock.get(self.stock_key(location)) or Stock()

    def lane_prefix(self, scope: str, need: int) -> bytes:
        """Return what the queue keys of a lane begin with."""
        return self.prefix + pack(scope, need)

    def needs(self, scope: str) -> Iterator[int]:
        """Yield the quantities that LINE_COMPLETE lines of a scope need at once, ascending."""
        prefix = self.prefix + pack(scope)
        for key, _ in self.book.lanes.scan(prefix):
            yield need_of(key)

    def queue_rows(self, lane_prefix: bytes) -> Iterator[tuple[bytes, QueueEntry]]:
        """Yield (rank key, entry) of a lane, best first."""
        start = len(lane_prefix)
        for key, entry in self.book.queue.scan(lane_prefix):
            yield key[start:], entry

    def claims(
        self, scope: str, rank: bytes, *, has_whole: bool, reverse: bool = False
    ) -> Iterator[tuple[bytes, QueueEntry]]:
        """Yield (rank key, entry) of all that waits in a scope, as if all were PARTIAL (R17), from a rank on or down.

        ``has_whole``: whether lines that take all or nothing wait there too.
        """
        lane, claims = self.lane_prefix(scope, 0), self.prefix + pack(scope)
        queue = _without(lane, self.book.queue.scan(lane, start=lane + rank, reverse=reverse))
        if not has_whole:
            return queue
        whole = _without(claims, self.book.claims.scan(claims, start=claims + rank, reverse=reverse))
        return merge(queue, whole, key=itemgetter(0), reverse=reverse)

    def holders(self, location: str) -> Iterator[tuple[bytes, HolderEntry]]:
        """Yield (rank key, line) of the lines with unpicked units at a location, worst first."""
        prefix = self.stock_key(location)
        for key, holder in self.book.holders.scan(prefix, reverse=True):
            yield key[len(prefix) :], holder

    def inbound(self, asn_id: str, asn_line_id: str) -> Inbound | None:
        """Return an ASN line, open or closed."""
        return self.book.inbound.get(self.prefix + pack(asn_id, asn_line_id))

    def inbound_of(self, asn_id: str) -> Iterator[Inbound]:
        """Yield the known lines of an ASN in line order."""
        for _, inbound in self.book.inbound.scan(self.prefix + pack(asn_id)):
            yield inbound

    def expected(self) -> Iterator[InboundEta]:
        """Yield the ASN lines with units open, in (eta, asn, line) order (R17)."""
        for _, row in self.book.inbound_etas.scan(self.prefix):
            yield row

    def covers(self) -> dict[bytes, Cover]:
        """Return how far each ASN line reached when promises were last decided, by the key of its row of supply."""
        return dict(self.book.covers.scan(self.prefix))

    def parked(self, order_id: str, line_id: str) -> ParkedScans | None:
        """Return the scans that wait for a line to become known (R15)."""
        return self.book.parked.get(self.prefix + self.tail(order_id, line_id))

    def has_seen(self, source: str, event_id: str, log_time: int) -> bool:
        """Tell whether this scan took effect within the horizon (I8)."""
        horizon = self.book.rules.duplicate_horizon
        generation = log_time // horizon
        tail = self.prefix + pack(source, event_id)
        seen = self.book.seen.get(generation_prefix(generation) + tail)
        if seen is None:
            seen = self.book.seen.get(generation_prefix(generation - 1) + tail)
        return seen is not None and log_time - seen <= horizon

    def position(self, location: str) -> Position:
        """Return the stock at a location, with what waits for it and what is expected there."""
        return self.positions([location])[0]

    def positions(self, locations: Iterable[str]) -> list[Position]:
        """Return the stock at locations, in their order; what is expected is read once for all."""
        head = self.head
        etas: dict[str, int] = {}
        if head.inbound_lines:
            for row in self.expected():
                etas.setdefault(row.location, row.eta)
        return [self._position(head, location, etas.get(location)) for location in locations]

    def _position(self, head: Head, location: str, next_eta: int | None) -> Position:
        stock = self.stock(location)
        free = stock.on_hand - stock.allocated
        return Position(
            on_hand=stock.on_hand,
            allocated=stock.allocated,
            picked=stock.picked,
            quarantined=stock.quarantined,
            available=max(0, free),
            deficit=max(0, -free),
            waiting=sum(scope.units for scope in head.scopes.values() if scope.admits(location)),
            inbound=stock.inbound,
            next_eta=next_eta,
        )


def _without(prefix: bytes, rows: Iterator[tuple[bytes, QueueEntry]]) -> Iterator[tuple[bytes, QueueEntry]]:
    """Yield rows by what follows the prefix of their keys."""
    for key, entry in rows:
        yield key[len(prefix) :], entry


@lru_cache(maxsize=16)
def generation_prefix(generation: int) -> bytes:
    """Return what the keys of the scans remembered in a generation begin with; most scans ask for the same two."""
    return pack(generation)


def need_of(lane_key: bytes) -> int:
    """Return the quantity at the end of a lane's key."""
    return int.from_bytes(lane_key[-8:], "big") - (1 << 63)


def view_of(line: Line) -> LineView:
    """Return how a line stands."""
    return LineView(
        order_id=line.order_id,
        line_id=line.line_id,
        order_version=line.terms.order_version,
        customer_id=line.terms.customer_id,
        ordered=line.ordered,
        allocated=line.allocated,
        picked=line.picked,
        shipped=line.shipped,
        cancelled=line.cancelled,
        waiting=line.waiting,
        status=status_of(line),
        is_moved=line.is_moved,
        accepted_at=line.terms.accepted_at,
        waiting_since=line.waiting_since,
        eta=line.eta,
        eta_source=line.eta_source,
        eta_told=line.eta_told,
        rank=line_rank_text(line),
    )


def status_of(line: Line) -> str | None:
    """Return the status that OMS screens show, or None for a closed line."""
    if not line.is_open:
        return None
    if line.shipped:
        return "PARTIALLY_SHIPPED"
    if not line.waiting:
        return "ALLOCATED"
    return "PARTIALLY_ALLOCATED" if line.allocated else "WAITING"
