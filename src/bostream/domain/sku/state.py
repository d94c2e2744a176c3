"""What is stored of each SKU: the tables of a SKU partition and the values in them.

What must stay true: a table's number is never reused; fields are only ever appended, with defaults, so that an older
store can always be read; keys are made by :func:`bostream.domain.keys.pack` and begin with the SKU (``SEEN`` begins
with a generation, so that old generations can be swept across SKUs). Only ``evolve`` writes.

A line's units, best first, lie on one axis from 0 to the sum of its entries' demand::

    shipped | picked | allocated, not picked | waiting

and its entries cut the same axis by seniority. So its best entry fills, picks and ships first, and its worst one loses
and shrinks first, without any book-keeping per entry (R5).
"""

from collections.abc import Iterator

import msgspec

from bostream.domain.sku.events import ShipPolicy, Terms
from bostream.domain.state import TableSpec
from bostream.errors import InvariantError

ANY_LOCATION = "*"
"""The scope of lines that may be served from everywhere."""


class Scope(msgspec.Struct, array_like=True):
    """All that waits for the same set of locations. ``locations`` is sorted; empty means any.

    Attributes:
        partial: queue rows that take what is there.
        complete: queue rows that take all or nothing, in one lane for each quantity needed.
        units: units that wait.
    """

    locations: tuple[str, ...]
    partial: int = 0
    complete: int = 0
    units: int = 0

    def admits(self, location: str) -> bool:
        """Tell whether units at this location may serve this scope."""
        return not self.locations or location in self.locations


class Head(msgspec.Struct, array_like=True):
    """One small row for each SKU, so that an event on a quiet SKU touches few others.

    Attributes:
        sequence: number of published allocation events so far.
        waiting, waiting_lines: units and lines in the queue.
        scopes: what waits, by scope.
        free: on hand − allocated by location, where it is not 0 (negative: a deficit).
        inbound_lines: ASN lines with units open.
        promised_lines: lines with an ETA.
        parked_lines: unknown lines for which scans are parked.
        covers: rows of ``COVERS``.
    """

    sequence: int = 0
    waiting: int = 0
    waiting_lines: int = 0
    scopes: dict[str, Scope] = msgspec.field(default_factory=dict)
    free: dict[str, int] = msgspec.field(default_factory=dict)
    inbound_lines: int = 0
    promised_lines: int = 0
    parked_lines: int = 0
    covers: int = 0

    def free_stock(self) -> dict[str, int]:
        """Return a copy of the free units by location, where there are any."""
        return {location: units for location, units in self.free.items() if units > 0}

    def deficits(self) -> dict[str, int]:
        """Return by how much more is allocated than on hand, where it is."""
        return {location: -units for location, units in self.free.items() if units < 0}


class Stock(msgspec.Struct, array_like=True):
    """Stock at one location; ``is_shortage_told`` until the deficit is paid (R13); ``inbound`` = open ASN units."""

    on_hand: int = 0
    allocated: int = 0
    picked: int = 0
    quarantined: int = 0
    inbound: int = 0
    is_shortage_told: bool = False


class Entry(msgspec.Struct, array_like=True):
    """Part of a line's demand, ranked by its own seniority (µs, UTC)."""

    seniority: int
    demand: int


class Place(msgspec.Struct, array_like=True):
    """A line's units at one location; ``picked`` of the ``allocated`` are off the shelf."""

    location: str
    allocated: int = 0
    picked: int = 0

    @property
    def unpicked(self) -> int:
        """Units that a rule may still take back."""
        return self.allocated - self.picked


class Line(msgspec.Struct, array_like=True):
    """One order line on this SKU. ordered = allocated + shipped + cancelled + waiting, always (I3).

    Attributes:
        entries: demand by seniority, best first, none of it 0.
        places: units by location, none of them 0.
        ordered: units ever asked for; an amendment downwards leaves it and raises ``cancelled``.
        deferred: picked units that are no longer wanted (R12); while there are any, nothing waits or is unpicked.
        eta, eta_source: the present promise (R17); ``eta_told``: the one last told (R18).
        waiting_since: log time since which it waits without a break, or None.
        is_moved: the line lives under another SKU now.
        closed_at: log time at which nothing of it was open any more, or None.
    """

    order_id: str
    line_id: str
    terms: Terms
    entries: list[Entry] = msgspec.field(default_factory=list)
    places: list[Place] = msgspec.field(default_factory=list)
    ordered: int = 0
    allocated: int = 0
    picked: int = 0
    shipped: int = 0
    cancelled: int = 0
    deferred: int = 0
    eta: int | None = None
    eta_source: str | None = None
    eta_told: int | None = None
    waiting_since: int | None = None
    is_moved: bool = False
    closed_at: int | None = None

    @property
    def waiting(self) -> int:
        """Units that the line still waits for."""
        return self.ordered - self.allocated - self.shipped - self.cancelled

    @property
    def is_open(self) -> bool:
        """Whether anything is still to come: units that wait or have not left."""
        return self.ordered != self.shipped + self.cancelled

    @property
    def is_whole(self) -> bool:
        """Whether it takes all that it waits for or nothing (R9)."""
        return self.terms.ship_policy is not ShipPolicy.PARTIAL

    def place(self, location: str) -> Place | None:
        """Return the units at a location, if there are any."""
        for place in self.places:
            if place.location == location:
                return place
        return None

    def entry_before(self, end: int) -> tuple[Entry, int]:
        """Return the entry that holds the last unit before ``end`` on the line's axis, and where that entry begins.

        Raises:
            InvariantError: the axis ends before.
        """
        return entry_before(self.entries, end)

    def waiting_entries(self) -> Iterator[tuple[Entry, int]]:
        """Yield the entries that wait, worst first, with the units that each waits for."""
        rest = self.waiting
        for entry in reversed(self.entries):
            if rest <= 0:
                return
            units = min(rest, entry.demand)
            yield entry, units
            rest -= units


def entry_before(entries: list[Entry], end: int) -> tuple[Entry, int]:
    """Return what :meth:`Line.entry_before` says, for any entries that lie on one axis, best first."""
    start = 0
    for entry in entries:
        if start + entry.demand >= end:
            return entry, start
        start += entry.demand
    raise InvariantError(f"units up to {end} were asked of entries that end at {start}")


class QueueEntry(msgspec.Struct, array_like=True):
    """``units`` that wait at one rank of one line."""

    order_id: str
    line_id: str
    seniority: int
    units: int


class Lane(msgspec.Struct, array_like=True):
    """Queue rows of one scope that need the same number of units at once (R9)."""

    rows: int = 0


class HolderEntry(msgspec.Struct, array_like=True):
    """A line with allocated, unpicked units at a location."""

    order_id: str
    line_id: str


class Inbound(msgspec.Struct, array_like=True):
    """One ASN line. ``is_announced`` is False while only receipts spoke of it.

    ``settled_at``: log time at which it was closed, or first spoken of without being announced; None while it counts.
    """

    asn_id: str
    asn_line_id: str
    location: str = ""
    eta: int = 0
    quantity: int = 0
    received: int = 0
    is_announced: bool = False
    is_closed: bool = False
    settled_at: int | None = None

    @property
    def open_units(self) -> int:
        """Units still expected."""
        return 0 if self.is_closed else max(0, self.quantity - self.received)


class InboundEta(msgspec.Struct, array_like=True):
    """An ASN line with units open, in the order in which supply is expected (R17)."""

    asn_id: str
    asn_line_id: str
    location: str
    eta: int
    units: int


class Cover(msgspec.Struct, array_like=True):
    """How far one ASN line reaches into the queue when supply is offered to it in order (R17).

    Attributes:
        location: where the supply goes; only entries that allow it are meant below.
        rank: the frontier: entries of better rank are covered by this ASN line and those before it, all of them.
        left: units of the entry at the frontier that are not covered then.
        taken: units of the ASN line that found a taker.
        part: of these, units that went to the entry at the frontier.
    """

    location: str
    rank: bytes = b""
    left: int = 0
    taken: int = 0
    part: int = 0


class ParkedScan(msgspec.Struct, array_like=True):
    """A scan that named an unknown line (R15); ``parked_at`` in log time, ``occurred_at`` as its sender says."""

    location: str
    quantity: int
    type: str
    parked_at: int
    occurred_at: int = 0


class ParkedScans(msgspec.Struct, array_like=True):
    """The parked scans of one unknown line, oldest first."""

    scans: list[ParkedScan] = msgspec.field(default_factory=list)


HEADS: TableSpec[Head] = TableSpec("heads", 2, Head)
"""By (sku)."""
STOCK: TableSpec[Stock] = TableSpec("stock", 3, Stock)
"""By (sku, location)."""
LINES: TableSpec[Line] = TableSpec("lines", 4, Line)
"""By (sku, order, line)."""
LANES: TableSpec[Lane] = TableSpec("lanes", 5, Lane)
"""By (sku, scope, units needed at once); only lanes that need more than "what is there"."""
QUEUE: TableSpec[QueueEntry] = TableSpec("queue", 6, QueueEntry)
"""By (sku, scope, units needed at once or 0, rank key)."""
HOLDERS: TableSpec[HolderEntry] = TableSpec("holders", 7, HolderEntry)
"""By (sku, location, rank key of the line's worst entry that has unpicked units)."""
INBOUND: TableSpec[Inbound] = TableSpec("inbound", 8, Inbound)
"""By (sku, asn, line)."""
INBOUND_ETAS: TableSpec[InboundEta] = TableSpec("inbound_etas", 9, InboundEta)
"""By (sku, eta, asn, line); only lines with units open."""
PARKED: TableSpec[ParkedScans] = TableSpec("parked", 10, ParkedScans)
"""By (sku, order, line)."""
SEEN: TableSpec[int] = TableSpec("seen", 11, int)
"""Log time at which a scan took effect, by (generation, sku, source, event id); generation = log time // horizon."""
CLAIMS: TableSpec[QueueEntry] = TableSpec("claims", 12, QueueEntry)
"""By (sku, scope, rank key): each waiting entry of lines that take all or nothing, which count as PARTIAL in R17."""
COVERS: TableSpec[Cover] = TableSpec("covers", 13, Cover)
"""By (sku, eta, asn, line), as ``INBOUND_ETAS`` had them when promises were last decided."""
