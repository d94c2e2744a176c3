"""The facts that the reference allocator yields: what the ``allocations`` topic must say.

What must stay true: a consumer that adds up the quantities finds the totals of each fact (I11).
"""

from dataclasses import dataclass
from enum import StrEnum

from bostream.audit.reference_line import LineTotals
from bostream.domain.sku.events import ScanType
from bostream.domain.sku.outcomes import Reason


class MovementType(StrEnum):
    """The type of a published fact."""

    ALLOCATED = "ALLOCATED"
    DEALLOCATED = "DEALLOCATED"
    PICKED = "PICKED"
    UNPICKED = "UNPICKED"
    SHIPPED = "SHIPPED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Movement:
    """One fact as the ``allocations`` topic publishes it; the totals are those after it."""

    sku_sequence: int
    type: MovementType
    order_id: str
    line_id: str
    location: str
    quantity: int
    reason: Reason
    totals: LineTotals
    on_hand_after: int = 0
    available_after: int = 0


FOUND = {
    ScanType.RECEIVED: Reason.STOCK_RECEIVED,
    ScanType.RETURNED: Reason.STOCK_RETURNED,
    ScanType.COUNTED: Reason.STOCK_FOUND,
    ScanType.ADJUSTED: Reason.STOCK_FOUND,
    ScanType.UNQUARANTINED: Reason.UNQUARANTINED,
    ScanType.TRANSFERRED_IN: Reason.TRANSFER,
}
"""Why units are given out after a scan that brought stock; after any other, STOCK_FREED."""

LOST = {
    ScanType.COUNTED: Reason.COUNT_SHORTAGE,
    ScanType.ADJUSTED: Reason.COUNT_SHORTAGE,
    ScanType.QUARANTINED: Reason.QUARANTINE,
    ScanType.TRANSFERRED_OUT: Reason.TRANSFER,
}
"""Why units are taken back after a scan that took stock; after any other, PICK_SHORTAGE."""
