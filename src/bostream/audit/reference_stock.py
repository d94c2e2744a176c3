"""What the reference allocator knows of a location and of an inbound line.

What must stay true: ``allocated`` and ``picked`` of a location are the sums over all lines (I2).
"""

from dataclasses import dataclass


@dataclass(slots=True)
class ReferenceStock:
    """Units of the SKU at one location; ``on_hand`` may be negative."""

    on_hand: int = 0
    allocated: int = 0
    picked: int = 0
    quarantined: int = 0

    @property
    def free(self) -> int:
        """On hand − allocated: negative while a deficit stands (R13)."""
        return self.on_hand - self.allocated


@dataclass(slots=True)
class ReferenceInbound:
    """One ASN line: what the newest notice says, and what came, perhaps before any notice did.

    ``settled_at``: log time since which nothing is expected of it (µs); meaningless while it is open.
    """

    location: str = ""
    eta: int = 0
    quantity: int = 0
    received: int = 0
    is_announced: bool = False
    is_closed: bool = False
    settled_at: int = 0

    @property
    def is_open(self) -> bool:
        """Whether a notice has named it and the ASN is neither closed nor cancelled."""
        return self.is_announced and not self.is_closed

    @property
    def open_units(self) -> int:
        """Units still to come: a short receipt leaves the rest open, one above the notice leaves nothing (R16)."""
        return max(0, self.quantity - self.received) if self.is_open else 0


@dataclass(frozen=True, slots=True)
class StockTotals:
    """The published state of one location.

    Attributes:
        deficit: units allocated above what is on hand (R13).
        waiting: units of all lines that may be served here.
        inbound: open units of ASN lines for this location; ``next_eta`` is the earliest of them.
    """

    on_hand: int
    allocated: int
    picked: int
    quarantined: int
    deficit: int
    waiting: int
    inbound: int
    next_eta: int | None
