"""What a SKU book decided: facts in the past tense, in the order in which they happened.

What must stay true: ``evolve`` needs nothing but the book and the outcome, and a consumer of the published outcomes can
rebuild every total (I11). Quantities are > 0 unless said otherwise.
"""

from enum import StrEnum

import msgspec

from bostream.domain.sku.events import InboundLine, Terms
from bostream.domain.sku.state import Cover


class Reason(StrEnum):
    """Why units moved, as published in ``allocations``."""

    ORDER_PLACED = "ORDER_PLACED"
    ORDER_AMENDED = "ORDER_AMENDED"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    STOCK_RECEIVED = "STOCK_RECEIVED"
    STOCK_RETURNED = "STOCK_RETURNED"
    STOCK_FOUND = "STOCK_FOUND"
    STOCK_FREED = "STOCK_FREED"
    UNQUARANTINED = "UNQUARANTINED"
    HOLD_RELEASED = "HOLD_RELEASED"
    SCANNED = "SCANNED"
    COUNT_SHORTAGE = "COUNT_SHORTAGE"
    PICK_SHORTAGE = "PICK_SHORTAGE"
    TRANSFER = "TRANSFER"
    QUARANTINE = "QUARANTINE"
    POLICY_CHANGED = "POLICY_CHANGED"
    ORDER_COMPLETED = "ORDER_COMPLETED"
    EXPIRED = "EXPIRED"
    BACKORDER_NOT_ALLOWED = "BACKORDER_NOT_ALLOWED"
    BACKLOG_FULL = "BACKLOG_FULL"


class DiscrepancyKind(StrEnum):
    """What OPERATIONS is told; also the ``type`` of the notification."""

    DISCREPANCY = "DISCREPANCY"
    STOCK_SHORTAGE = "STOCK_SHORTAGE"
    RECEIPT_DISCREPANCY = "RECEIPT_DISCREPANCY"
    ASN_OVERDUE = "ASN_OVERDUE"


# --- stock


class StockMoved(msgspec.Struct, frozen=True):
    """Sellable and quarantined units at a location changed by these amounts (either may be 0 or negative).

    ``is_put_back``: the units left before their line was known (R15) and are on hand only to leave as the line's; no
    deficit is paid by them.
    """

    location: str
    on_hand: int
    quarantined: int = 0
    is_put_back: bool = False


# --- demand


class TermsChanged(msgspec.Struct, frozen=True):
    """The line is known from now on, or its terms changed; its waiting entries rank anew (R6)."""

    order_id: str
    line_id: str
    terms: Terms


class DemandAdded(msgspec.Struct, frozen=True):
    """``quantity`` units more are wanted, as an entry of this seniority; ``ordered`` grows."""

    order_id: str
    line_id: str
    quantity: int
    seniority: int


class UnitsCancelled(msgspec.Struct, frozen=True):
    """Waiting units vanished, worst entry first; published as CANCELLED with location ""."""

    order_id: str
    line_id: str
    quantity: int
    reason: Reason


class CancellationDeferred(msgspec.Struct, frozen=True):
    """Picked units are no longer wanted; they stay with the line until SHIPPED or UNPICKED (R12).

    ``quantity`` may be negative: an increase took so many of them back.
    """

    order_id: str
    line_id: str
    quantity: int


class LineMoved(msgspec.Struct, frozen=True):
    """The line lives under another SKU from now on; this book no longer shows it."""

    order_id: str
    line_id: str


# --- units


class UnitsAllocated(msgspec.Struct, frozen=True):
    """Free units at a location became the line's. ``rank`` is the readable rank of the entry that was served."""

    order_id: str
    line_id: str
    location: str
    quantity: int
    reason: Reason
    rank: str
    units_ahead: int


class UnitsDeallocated(msgspec.Struct, frozen=True):
    """Allocated, unpicked units of the line became free (or are gone); the line waits for them again at its old rank.

    Where they were cancelled, a :class:`UnitsCancelled` follows that takes the waiting units away.
    """

    order_id: str
    line_id: str
    location: str
    quantity: int
    reason: Reason
    rank: str


class UnitsPicked(msgspec.Struct, frozen=True):
    """Allocated units left the shelf."""

    order_id: str
    line_id: str
    location: str
    quantity: int


class UnitsUnpicked(msgspec.Struct, frozen=True):
    """Picked units are back on the shelf, still the line's."""

    order_id: str
    line_id: str
    location: str
    quantity: int


class UnitsShipped(msgspec.Struct, frozen=True):
    """Units left the building: on hand and allocated fall, shipped grows. ``picked`` of them had been picked."""

    order_id: str
    line_id: str
    location: str
    quantity: int
    picked: int


# --- inbound and promises


class InboundStated(msgspec.Struct, frozen=True):
    """An ASN line on this SKU now reads like this; ``closed``: nothing more is expected of it.

    ``location_before`` is where it was bound for so far, if it was announced.
    """

    asn_id: str
    location: str
    eta: int
    line: InboundLine
    closed: bool
    location_before: str | None = None


class InboundReceived(msgspec.Struct, frozen=True):
    """``quantity`` units came against an ASN line (known or not yet announced)."""

    asn_id: str
    asn_line_id: str
    quantity: int


class EtaMoved(msgspec.Struct, frozen=True):
    """The promise of a waiting line is now this (R17); None: inbound does not cover it. ``source``: ``asn/line``."""

    order_id: str
    line_id: str
    eta: int | None
    source: str | None


class EtaTold(msgspec.Struct, frozen=True):
    """The promise that the customer hears about is now this (R18)."""

    order_id: str
    line_id: str
    eta: int | None


class CoverMoved(msgspec.Struct, frozen=True):
    """The ASN line with this eta reaches so far into the queue now (R17); None: it is expected no more, or not then.

    Published nowhere: the next event needs it, so that it looks only at what moves.
    """

    asn_id: str
    asn_line_id: str
    eta: int
    cover: Cover | None


# --- memory


class EventRemembered(msgspec.Struct, frozen=True):
    """This scan took effect at this log time; the same id has none within the horizon (I8)."""

    source: str
    event_id: str


class ScanParked(msgspec.Struct, frozen=True):
    """A scan that names an unknown line moved stock and waits to be set against the line (R15).

    ``type`` is PICKED, UNPICKED, SHIPPED or SHORTED; ``occurred_at`` is what its sender says (µs, UTC).
    """

    order_id: str
    line_id: str
    location: str
    quantity: int
    type: str
    occurred_at: int = 0


class ScansUnparked(msgspec.Struct, frozen=True):
    """The oldest ``scans`` parked scans of this line were set against it, or were given up at the horizon (R15)."""

    order_id: str
    line_id: str
    scans: int


class EventsForgotten(msgspec.Struct, frozen=True):
    """Up to ``rows`` scans remembered in this generation of the horizon are no longer; it is swept in slices (I8)."""

    generation: int
    rows: int


class LineForgotten(msgspec.Struct, frozen=True):
    """A line closed for longer than the retention was removed from the book."""

    order_id: str
    line_id: str


class InboundForgotten(msgspec.Struct, frozen=True):
    """An ASN line closed, or never announced, for longer than the retention was removed from the book."""

    asn_id: str
    asn_line_id: str


class DiscrepancyFound(msgspec.Struct, frozen=True):
    """Something that people should look at; published at once to OPERATIONS. ``message`` is one plain sentence."""

    kind: DiscrepancyKind
    message: str
    order_id: str = ""
    line_id: str = ""
    location: str = ""
    asn_id: str = ""


Outcome = (
    StockMoved
    | TermsChanged
    | DemandAdded
    | UnitsCancelled
    | CancellationDeferred
    | LineMoved
    | UnitsAllocated
    | UnitsDeallocated
    | UnitsPicked
    | UnitsUnpicked
    | UnitsShipped
    | InboundStated
    | InboundReceived
    | EtaMoved
    | EtaTold
    | CoverMoved
    | EventRemembered
    | ScanParked
    | ScansUnparked
    | EventsForgotten
    | LineForgotten
    | InboundForgotten
    | DiscrepancyFound
)
