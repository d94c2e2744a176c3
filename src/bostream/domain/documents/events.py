"""What the document desk is told: the records of the ``{app}-documents`` log.

What must stay true: the desk's whole history is a function of these events in log order. Fields are only ever appended,
with defaults.
"""

from enum import StrEnum

import msgspec

from bostream.domain.cause import Cause
from bostream.domain.sku.events import Terms, Ticked


class OrderAction(StrEnum):
    """What an order event asks for."""

    PLACED = "PLACED"
    AMENDED = "AMENDED"
    CANCELLED = "CANCELLED"
    HELD = "HELD"
    RELEASED = "RELEASED"


class AsnAction(StrEnum):
    """What an advance ship notice says."""

    ANNOUNCED = "ANNOUNCED"
    AMENDED = "AMENDED"
    ARRIVED = "ARRIVED"
    CANCELLED = "CANCELLED"
    CLOSED = "CLOSED"


class WantedLine(msgspec.Struct, frozen=True, array_like=True):
    """One line of a whole order or notice document; ``quantity`` >= 0."""

    line_id: str
    sku: str
    quantity: int


class OrderReceived(msgspec.Struct, frozen=True, array_like=True, tag_field="record", tag="order"):
    """One order event. PLACED and AMENDED carry the whole order; the others only id and version matter.

    ``terms.accepted_at`` is meaningful on PLACED and AMENDED only (0 otherwise).
    """

    cause: Cause
    order_id: str
    action: OrderAction
    terms: Terms
    lines: tuple[WantedLine, ...] = ()
    source: str = ""


class AsnReceived(msgspec.Struct, frozen=True, array_like=True, tag_field="record", tag="asn"):
    """One advance ship notice event; ANNOUNCED and AMENDED carry the whole notice."""

    cause: Cause
    asn_id: str
    action: AsnAction
    version: int
    location: str
    eta: int
    lines: tuple[WantedLine, ...] = ()
    supplier_id: str = ""
    source: str = ""


class LineReported(msgspec.Struct, frozen=True, array_like=True, tag_field="record", tag="line"):
    """A SKU book reports how a line stands after one of its events (for notices and whole orders).

    ``eta`` is the promise as last told: it moves only when the line first waits, or when its ETA appears, goes, or
    moves by at least the threshold (R18). ``let_go``: the line was moved to another SKU and this book has let go of it.
    """

    cause: Cause
    order_id: str
    line_id: str
    sku: str
    ordered: int
    allocated: int
    picked: int
    shipped: int
    cancelled: int
    waiting: int
    eta: int | None = None
    let_go: bool = False


DocumentEvent = OrderReceived | AsnReceived | LineReported
"""What the desk handles; ``Ticked`` is consumed by the engine."""

DocumentRecord = DocumentEvent | Ticked
"""What stands in the ``{app}-documents`` log."""
