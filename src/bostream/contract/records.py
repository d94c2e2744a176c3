"""Every public record as a frozen struct, field for field as in ``schemas/``.

What must stay true: names, order and defaults of the fields equal those of the newest schema of the topic, and the
types carry every bound that needs no second field to be checked; the rest is in :mod:`bostream.contract.validation`.
Times are µs since the epoch, UTC; quantities are base units.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from bostream.contract import limits
from bostream.domain.documents.events import AsnAction, OrderAction
from bostream.domain.sku.events import ScanType, ShipPolicy

Id = Annotated[str, Meta(min_length=1, max_length=limits.ID_CHARACTERS_MAX)]
Name = Annotated[str, Meta(max_length=limits.ID_CHARACTERS_MAX)]
Text = Annotated[str, Meta(max_length=limits.TEXT_CHARACTERS_MAX)]
Time = Annotated[int, Meta(ge=limits.TIME_MIN, le=limits.TIME_MAX)]
Long = Annotated[int, Meta(ge=limits.LONG_MIN, le=limits.LONG_MAX)]
Version = Annotated[int, Meta(ge=0, le=limits.LONG_MAX)]
Quantity = Annotated[int, Meta(ge=0, le=limits.QUANTITY_MAX)]
Change = Annotated[int, Meta(ge=-limits.QUANTITY_MAX, le=limits.QUANTITY_MAX)]
Priority = Annotated[int, Meta(ge=0, le=limits.PRIORITY_MAX)]
WaitDays = Annotated[int, Meta(ge=0, le=limits.WAIT_DAYS_MAX)]
HoldHours = Annotated[int, Meta(ge=0, le=limits.HOLD_HOURS_MAX)]


class RankKey(StrEnum):
    """What a policy compares lines by (R1)."""

    PRIORITY = "PRIORITY"
    CUSTOMER_TIER = "CUSTOMER_TIER"
    CHANNEL = "CHANNEL"
    NEED_BY = "NEED_BY"
    ACCEPTED_AT = "ACCEPTED_AT"


class AllocationType(StrEnum):
    """How units moved. UNKNOWN: a symbol newer than this reader; never written."""

    UNKNOWN = "UNKNOWN"
    ALLOCATED = "ALLOCATED"
    DEALLOCATED = "DEALLOCATED"
    PICKED = "PICKED"
    UNPICKED = "UNPICKED"
    SHIPPED = "SHIPPED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"


class AllocationReason(StrEnum):
    """Why units moved: the domain's reasons, and UNKNOWN for a symbol newer than this reader."""

    UNKNOWN = "UNKNOWN"
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


class Audience(StrEnum):
    """Whom a notification is for."""

    UNKNOWN = "UNKNOWN"
    CUSTOMER = "CUSTOMER"
    OPERATIONS = "OPERATIONS"


class NotificationType(StrEnum):
    """What a notification tells; the last four are for OPERATIONS."""

    UNKNOWN = "UNKNOWN"
    BACKORDERED = "BACKORDERED"
    ETA_SET = "ETA_SET"
    ETA_CHANGED = "ETA_CHANGED"
    PARTIALLY_ALLOCATED = "PARTIALLY_ALLOCATED"
    ALLOCATED = "ALLOCATED"
    SHIPPED = "SHIPPED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    STOCK_SHORTAGE = "STOCK_SHORTAGE"
    ASN_OVERDUE = "ASN_OVERDUE"
    RECEIPT_DISCREPANCY = "RECEIPT_DISCREPANCY"
    DISCREPANCY = "DISCREPANCY"


class LineStatus(StrEnum):
    """How an open line stands."""

    UNKNOWN = "UNKNOWN"
    HELD = "HELD"
    WAITING = "WAITING"
    PARTIALLY_ALLOCATED = "PARTIALLY_ALLOCATED"
    ALLOCATED = "ALLOCATED"
    PARTIALLY_SHIPPED = "PARTIALLY_SHIPPED"


# --- inputs


class OrderLine(Struct, frozen=True, kw_only=True):
    """One line of an order document; quantity 0 cancels what is still open of it."""

    line_id: Id
    sku: Id
    quantity: Quantity


class OrderEvent(Struct, frozen=True, kw_only=True):
    """``orders``: an order was placed, changed, cancelled, held or released."""

    event_id: Id
    occurred_at: Time
    source: Name = ""
    type: OrderAction
    order_id: Id
    order_version: Version
    accepted_at: Time | None = None
    customer_id: Id
    customer_tier: Name = ""
    channel: Name = ""
    priority: Priority = 5
    need_by: Time | None = None
    cancel_after: Time | None = None
    ship_policy: ShipPolicy = ShipPolicy.PARTIAL
    locations: Annotated[tuple[Id, ...], Meta(max_length=limits.NAMES_MAX)] = ()
    lines: Annotated[tuple[OrderLine, ...], Meta(max_length=limits.LINES_MAX)] = ()


class InventoryScan(Struct, frozen=True, kw_only=True):
    """``inventory-scans``: what happened on the warehouse floor."""

    event_id: Id
    occurred_at: Time
    source: Name = ""
    type: ScanType
    sku: Id
    location: Id
    quantity: Change
    expected_quantity: Change | None = None
    order_id: Id | None = None
    line_id: Id | None = None
    asn_id: Id | None = None
    asn_line_id: Id | None = None
    reason: Text = ""


class AsnLine(Struct, frozen=True, kw_only=True):
    """One line of an advance ship notice."""

    line_id: Id
    sku: Id
    quantity: Quantity


class AsnEvent(Struct, frozen=True, kw_only=True):
    """``asns``: an advance ship notice was announced, changed, or ended."""

    event_id: Id
    occurred_at: Time
    source: Name = ""
    type: AsnAction
    asn_id: Id
    asn_version: Version
    supplier_id: Name
    location: Id
    eta: Time
    supplier_promised_at: Time | None = None
    purchase_order: Name | None = None
    lines: Annotated[tuple[AsnLine, ...], Meta(max_length=limits.LINES_MAX)] = ()


class AllocationPolicy(Struct, frozen=True, kw_only=True):
    """``allocation-policies``: how the queue of a SKU (``*``: of all) is ranked and bounded."""

    event_id: Id
    occurred_at: Time
    policy_id: Id
    version: Version
    sku: Id
    rank: Annotated[tuple[RankKey, ...], Meta(max_length=limits.NAMES_MAX)] = (RankKey.PRIORITY, RankKey.ACCEPTED_AT)
    tier_order: Annotated[tuple[Name, ...], Meta(max_length=limits.NAMES_MAX)] = ()
    channel_order: Annotated[tuple[Name, ...], Meta(max_length=limits.NAMES_MAX)] = ()
    allow_backorder: bool = True
    max_backlog_units: Version | None = None
    max_wait_days: WaitDays | None = None
    order_complete_hold_after_hours: HoldHours | None = None


# --- outputs


class AllocationEvent(Struct, frozen=True, kw_only=True):
    """``allocations``: units of a line moved; the six quantities are the line after it (I3)."""

    event_id: str
    occurred_at: Time
    type: AllocationType
    sku_sequence: Long
    order_id: str
    line_id: str
    sku: str
    location: str
    quantity: Long
    reason: AllocationReason
    cause_event_id: str
    cause_type: str
    ordered: Long
    allocated: Long
    picked: Long
    shipped: Long
    cancelled: Long
    waiting: Long
    on_hand_after: Long
    available_after: Long
    rank: str
    units_ahead: Long
    policy: str


class NotificationLine(Struct, frozen=True, kw_only=True):
    """A line that a notification is about, as it stands."""

    line_id: str
    sku: str
    ordered: Long
    allocated: Long
    shipped: Long
    waiting: Long
    eta: Time | None = None
    previous_eta: Time | None = None
    queue_position: Long | None = None


class Notification(Struct, frozen=True, kw_only=True):
    """``notifications``: what to tell whom."""

    event_id: str
    deduplication_key: str
    occurred_at: Time
    audience: Audience
    type: NotificationType
    order_id: str
    customer_id: str
    order_version: Long
    lines: tuple[NotificationLine, ...]
    cause_event_id: str
    message: str


class BackorderLine(Struct, frozen=True, kw_only=True):
    """``backorder-lines``: the present state of an open line."""

    order_id: str
    line_id: str
    sku: str
    ordered: Long
    allocated: Long
    picked: Long
    shipped: Long
    cancelled: Long
    waiting: Long
    status: LineStatus
    accepted_at: Time
    waiting_since: Time
    eta: Time | None = None
    eta_source: str | None = None
    rank: str


class StockPosition(Struct, frozen=True, kw_only=True):
    """``stock-positions``: stock of a SKU at a location."""

    sku: str
    location: str
    on_hand: Long
    allocated: Long
    picked: Long
    quarantined: Long
    available: Long
    deficit: Long
    waiting: Long
    inbound: Long
    next_eta: Time | None = None


InputRecord = OrderEvent | InventoryScan | AsnEvent | AllocationPolicy
OutputRecord = AllocationEvent | Notification | BackorderLine | StockPosition
PublicRecord = InputRecord | OutputRecord

INPUT_RECORDS: dict[str, type[InputRecord]] = {
    "orders": OrderEvent,
    "inventory-scans": InventoryScan,
    "asns": AsnEvent,
    "allocation-policies": AllocationPolicy,
}
"""Record type of each input topic, by its unprefixed name."""

OUTPUT_RECORDS: dict[str, type[OutputRecord]] = {
    "allocations": AllocationEvent,
    "notifications": Notification,
    "backorder-lines": BackorderLine,
    "stock-positions": StockPosition,
}
"""Record type of each output topic, by its unprefixed name."""


def record_type(topic: str) -> type[PublicRecord]:
    """Return the record type of a public topic's unprefixed name; KeyError for any other name."""
    return INPUT_RECORDS[topic] if topic in INPUT_RECORDS else OUTPUT_RECORDS[topic]
