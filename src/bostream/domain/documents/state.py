"""What the desk remembers: one document per order and one per ASN.

What must stay true: fields are only ever appended, with defaults; a document that was changed is ``put`` again; and a
line id has at most one line in ``OrderDocument.lines``, all others that it ever had stand in ``former``.
"""

import msgspec

from bostream.domain.cause import Cause
from bostream.domain.documents.events import LineReported, WantedLine
from bostream.domain.sku.events import Terms
from bostream.domain.state import TableSpec


class AppliedEvent(msgspec.Struct, frozen=True, array_like=True):
    """An input event that took effect at this log time (µs); the same id has none within the horizon (I8)."""

    source: str
    event_id: str
    log_time: int


class OrderLine(msgspec.Struct, array_like=True):
    """One order line on one SKU: what was asked of its book, how it stands there, and what the customer was told.

    Attributes:
        wanted: quantity of the newest document; 0 when it was left out, ended, or moved to another SKU.
        is_pending: units were asked for, and the book has not reported since.
        ordered, allocated, picked, shipped, cancelled, waiting: as the book reported last.
        eta: the promise as the book told it last (µs), None without one.
        told_allocated, told_shipped, told_waiting, told_eta: as in the last notice to the customer (R20).
    """

    line_id: str
    sku: str
    wanted: int = 0
    is_pending: bool = False
    ordered: int = 0
    allocated: int = 0
    picked: int = 0
    shipped: int = 0
    cancelled: int = 0
    waiting: int = 0
    eta: int | None = None
    told_allocated: int = 0
    told_shipped: int = 0
    told_waiting: int = 0
    told_eta: int | None = None

    def is_open(self) -> bool:
        """Say whether units of it wait or are allocated, or may be soon."""
        return self.is_pending or self.waiting > 0 or self.allocated > 0

    def promise(self) -> int | None:
        """Return the eta that means something to the customer: none when nothing waits."""
        return self.eta if self.waiting > 0 else None

    def is_news(self, report: LineReported) -> bool:
        """Say whether the report changes anything that customers are told."""
        return (
            report.allocated != self.allocated
            or report.shipped != self.shipped
            or report.waiting != self.waiting
            or report.eta != self.eta
        )


class OrderDocument(msgspec.Struct, array_like=True):
    """One order.

    Attributes:
        version: watermark of PLACED, AMENDED and CANCELLED.
        terms: of the newest document; None until there is one (cancelled before it was placed).
        is_cancelled: CANCELLED took effect, for good.
        lines: by line id, each under the SKU that it has now.
        former: lines under SKUs that they moved away from.
        applied: input events that took effect, oldest first, as far as the duplicate horizon reaches.
        window_due: when the open notice window ends (µs); None while none is open (R20).
        window_cause: the newest change within the open window.
        settled_at: log time since when nothing is open; None while something is.
        forget_due: when the timer that may forget this order fires; None without one.
    """

    order_id: str
    version: int
    terms: Terms | None = None
    is_cancelled: bool = False
    lines: dict[str, OrderLine] = {}
    former: list[OrderLine] = []
    applied: list[AppliedEvent] = []
    window_due: int | None = None
    window_cause: Cause | None = None
    settled_at: int | None = None
    forget_due: int | None = None

    def line_on(self, line_id: str, sku: str) -> OrderLine | None:
        """Return the line under this SKU, present or former."""
        line = self.lines.get(line_id)
        if line is not None and line.sku == sku:
            return line
        for former in self.former:
            if former.line_id == line_id and former.sku == sku:
                return former
        return None

    def has_open_lines(self) -> bool:
        """Say whether anything of the order waits or is allocated, or may be soon."""
        return any(line.is_open() for line in self.lines.values()) or any(line.is_open() for line in self.former)


class AsnDocument(msgspec.Struct, array_like=True):
    """One advance ship notice.

    Attributes:
        version: watermark of ANNOUNCED, AMENDED, CANCELLED and CLOSED; None until there was one.
        arrived_version: watermark of ARRIVED, which carries no notice and so must not hide an older one.
        location, eta, lines: of the newest notice.
        ended_at: log time at which it was CLOSED or CANCELLED (later: refused something); None before.
        forget_due: as for orders.
    """

    asn_id: str
    version: int | None = None
    arrived_version: int | None = None
    location: str = ""
    eta: int = 0
    lines: tuple[WantedLine, ...] = ()
    applied: list[AppliedEvent] = []
    ended_at: int | None = None
    forget_due: int | None = None


ORDERS: TableSpec[OrderDocument] = TableSpec("orders", 2, OrderDocument)
"""Orders by ``pack(order_id)``."""

ASNS: TableSpec[AsnDocument] = TableSpec("asns", 3, AsnDocument)
"""Advance ship notices by ``pack(asn_id)``."""
