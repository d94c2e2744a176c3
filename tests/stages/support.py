"""Public records in few words, and a pipeline to send them through."""

from bostream.contract.records import AsnEvent, AsnLine, InventoryScan, OrderEvent, OrderLine
from bostream.domain.documents.events import AsnAction, OrderAction
from bostream.domain.sku.events import ScanType, ShipPolicy

SECOND = 1_000_000
DAY = 86_400 * SECOND
NOON = 1_764_072_000 * SECOND
"""2025-11-25T12:00:00Z."""


def clock_time(text: str) -> int:
    """``09:10`` on the day of :data:`NOON`, in µs."""
    hours, minutes = text.split(":")
    return NOON + ((int(hours) - 12) * 3600 + int(minutes) * 60) * SECOND


def order(
    order_id: str,
    *lines: tuple[str, str, int],
    version: int = 1,
    action: OrderAction = OrderAction.PLACED,
    at: int = NOON,
    accepted_at: int | None = None,
    priority: int = 5,
    ship_policy: ShipPolicy = ShipPolicy.PARTIAL,
    locations: tuple[str, ...] = (),
    event_id: str = "",
) -> OrderEvent:
    is_document = action in (OrderAction.PLACED, OrderAction.AMENDED)
    return OrderEvent(
        event_id=event_id or f"{order_id}-{action}-{version}",
        occurred_at=at,
        source="oms",
        type=action,
        order_id=order_id,
        order_version=version,
        accepted_at=(at if accepted_at is None else accepted_at) if is_document else None,
        customer_id="C1",
        priority=priority,
        ship_policy=ship_policy,
        locations=locations,
        lines=tuple(OrderLine(line_id=line_id, sku=sku, quantity=quantity) for line_id, sku, quantity in lines),
    )


def scan(
    kind: ScanType,
    quantity: int,
    *,
    sku: str = "S",
    location: str = "W1",
    at: int = NOON,
    expected: int | None = None,
    line: tuple[str, str] | None = None,
    asn: tuple[str, str] | None = None,
    event_id: str = "",
) -> InventoryScan:
    return InventoryScan(
        event_id=event_id or f"{kind}-{sku}-{location}-{quantity}-{at}-{line}",
        occurred_at=at,
        source="wms",
        type=kind,
        sku=sku,
        location=location,
        quantity=quantity,
        expected_quantity=expected,
        order_id=line[0] if line else None,
        line_id=line[1] if line else None,
        asn_id=asn[0] if asn else None,
        asn_line_id=asn[1] if asn else None,
    )


def asn(
    asn_id: str,
    *lines: tuple[str, str, int],
    version: int = 1,
    action: AsnAction = AsnAction.ANNOUNCED,
    eta: int = NOON + 5 * DAY,
    location: str = "W1",
    at: int = NOON,
) -> AsnEvent:
    return AsnEvent(
        event_id=f"{asn_id}-{action}-{version}",
        occurred_at=at,
        source="erp",
        type=action,
        asn_id=asn_id,
        asn_version=version,
        supplier_id="SUP",
        location=location,
        eta=eta,
        lines=tuple(AsnLine(line_id=line_id, sku=sku, quantity=quantity) for line_id, sku, quantity in lines),
    )
