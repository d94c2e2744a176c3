"""What a SKU book is told: the records of the ``{app}-skus`` log.

What must stay true: a book's whole history is a function of these events in log order. Fields are only ever appended,
with defaults, so that an older log can always be replayed.
"""

from enum import StrEnum

import msgspec

from bostream.domain.cause import Cause


class ShipPolicy(StrEnum):
    """How much of a line must be there before it takes anything (R9, R10)."""

    PARTIAL = "PARTIAL"
    LINE_COMPLETE = "LINE_COMPLETE"
    ORDER_COMPLETE = "ORDER_COMPLETE"


class ScanType(StrEnum):
    """What a scan says happened on the warehouse floor."""

    RECEIVED = "RECEIVED"
    COUNTED = "COUNTED"
    ADJUSTED = "ADJUSTED"
    PICKED = "PICKED"
    UNPICKED = "UNPICKED"
    SHIPPED = "SHIPPED"
    SHORTED = "SHORTED"
    RETURNED = "RETURNED"
    QUARANTINED = "QUARANTINED"
    UNQUARANTINED = "UNQUARANTINED"
    TRANSFERRED_OUT = "TRANSFERRED_OUT"
    TRANSFERRED_IN = "TRANSFERRED_IN"


class DemandReason(StrEnum):
    """Which change of the order a demand comes from; becomes the reason of what it causes."""

    ORDER_PLACED = "ORDER_PLACED"
    ORDER_AMENDED = "ORDER_AMENDED"
    ORDER_CANCELLED = "ORDER_CANCELLED"


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """What an order says about itself that its lines need in the queue (times in µs, UTC)."""

    order_version: int
    accepted_at: int
    customer_id: str = ""
    customer_tier: str = ""
    channel: str = ""
    priority: int = 5
    need_by: int | None = None
    cancel_after: int | None = None
    ship_policy: ShipPolicy = ShipPolicy.PARTIAL
    locations: tuple[str, ...] = ()


class LineDemand(msgspec.Struct, frozen=True, array_like=True):
    """The change of one line. All zero = only the terms changed.

    Attributes:
        add: units wanted on top (>= 0); they rank by ``seniority`` as an entry of their own (R5).
        cancel: units no longer wanted (>= 0), worst entry first, waiting before allocated (R5, R12).
        seniority: the µs that stand in for ACCEPTED_AT for the added units: ``accepted_at`` for a first document's
            lines, max(``occurred_at`` of the amendment, ``accepted_at``) for later additions.
        ends: cancel all that is still open, whatever ``cancel`` says (quantity 0, line left out, order cancelled).
        moved: the line lives under another SKU from now on; this book publishes no ``backorder-lines`` for it any more.
    """

    line_id: str
    add: int = 0
    cancel: int = 0
    seniority: int = 0
    ends: bool = False
    moved: bool = False


class DemandChanged(msgspec.Struct, frozen=True, array_like=True, tag_field="record", tag="demand"):
    """All changed lines of one order on one SKU, in line id order; all enter the queue before any is served (R5)."""

    cause: Cause
    sku: str
    order_id: str
    reason: DemandReason
    terms: Terms
    lines: tuple[LineDemand, ...]


class StockScanned(msgspec.Struct, frozen=True, array_like=True, tag_field="record", tag="scan"):
    """One inventory scan; fields as in the public record. ``source`` and ``cause.event_id`` identify repeats (I8)."""

    cause: Cause
    sku: str
    type: ScanType
    location: str
    quantity: int
    source: str = ""
    expected_quantity: int | None = None
    order_id: str | None = None
    line_id: str | None = None
    asn_id: str | None = None
    asn_line_id: str | None = None
    reason: str = ""


class InboundLine(msgspec.Struct, frozen=True, array_like=True):
    """One ASN line on this SKU as the notice states it: ``quantity`` is the whole announced quantity, >= 0."""

    line_id: str
    quantity: int


class InboundChanged(msgspec.Struct, frozen=True, array_like=True, tag_field="record", tag="inbound"):
    """The whole state of one ASN as far as this SKU is concerned.

    ``lines`` are all lines of the newest notice on this SKU; a line known before and missing here is withdrawn.
    ``closed`` (CLOSED or CANCELLED): nothing more is expected; differences are told (R16).
    """

    cause: Cause
    sku: str
    asn_id: str
    location: str
    eta: int
    lines: tuple[InboundLine, ...]
    closed: bool = False


class LineRefreshed(msgspec.Struct, frozen=True, array_like=True, tag_field="record", tag="refresh"):
    """Publish this line's ``backorder-lines`` state once more: it moved here and its old SKU has let go of it."""

    cause: Cause
    sku: str
    order_id: str
    line_id: str


class Ticked(msgspec.Struct, frozen=True, array_like=True, tag_field="record", tag="tick"):
    """Nothing happened up to ``now`` (µs): lets timers of an idle partition fire (R21)."""

    now: int


SkuEvent = DemandChanged | StockScanned | InboundChanged | LineRefreshed
"""What a book handles; ``Ticked`` is consumed by the engine."""

SkuRecord = SkuEvent | Ticked
"""What stands in the ``{app}-skus`` log."""
