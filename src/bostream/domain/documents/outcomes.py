"""What the desk decided: facts in the past tense, in the order in which they happened.

What must stay true: ``evolve`` needs nothing but the desk and the outcome; what other stages or people hear stands
whole inside an outcome (``DemandSent``, ``InboundSent``, ``RefreshSent``, ``NoticeIssued``).
"""

from enum import StrEnum

import msgspec

from bostream.domain.cause import Cause
from bostream.domain.documents.events import LineReported
from bostream.domain.documents.state import AppliedEvent
from bostream.domain.sku.events import DemandChanged, InboundChanged, LineRefreshed, Terms


class Audience(StrEnum):
    """Whom a notice is for."""

    CUSTOMER = "CUSTOMER"
    OPERATIONS = "OPERATIONS"


class NoticeType(StrEnum):
    """What a notice says; the types for customers stand in the order of R20, strongest first."""

    CANCELLED = "CANCELLED"
    SHIPPED = "SHIPPED"
    ALLOCATED = "ALLOCATED"
    PARTIALLY_ALLOCATED = "PARTIALLY_ALLOCATED"
    BACKORDERED = "BACKORDERED"
    ETA_CHANGED = "ETA_CHANGED"
    ETA_SET = "ETA_SET"
    DISCREPANCY = "DISCREPANCY"


class NoticeLine(msgspec.Struct, frozen=True):
    """A line as it stands when the notice is issued; ``previous_eta``: as told before, None when none was told."""

    line_id: str
    sku: str
    ordered: int
    allocated: int
    shipped: int
    waiting: int
    eta: int | None
    previous_eta: int | None


class Notice(msgspec.Struct, frozen=True):
    """One notice, ready to be sent.

    Attributes:
        cause: the newest input that changed what the notice tells.
        order_id: empty on notices about an ASN.
        subject: the id of the order or ASN: key of the published record.
        deduplication: parts of a key that no other notice has, whatever is sent twice.
        message: one plain English sentence.
    """

    cause: Cause
    audience: Audience
    type: NoticeType
    order_id: str
    subject: str
    customer_id: str
    order_version: int
    lines: tuple[NoticeLine, ...]
    deduplication: tuple[str, ...]
    message: str


# --- orders


class OrderVersionAccepted(msgspec.Struct, frozen=True):
    """This whole document is the order's newest; ``terms`` have the accepted_at of the first one."""

    order_id: str
    terms: Terms
    event: AppliedEvent


class OrderCancelled(msgspec.Struct, frozen=True):
    """The order is cancelled for good, whether it was placed yet or not."""

    order_id: str
    version: int
    event: AppliedEvent


class OrderVersionRefused(msgspec.Struct, frozen=True):
    """A newer version of a cancelled order changed nothing but the watermark."""

    order_id: str
    version: int
    event: AppliedEvent


class DemandSent(msgspec.Struct, frozen=True):
    """The book of a SKU is asked for this difference."""

    demand: DemandChanged


class LineNoted(msgspec.Struct, frozen=True):
    """A book reported how a line of a known order stands."""

    report: LineReported


class RefreshSent(msgspec.Struct, frozen=True):
    """The book that has a moved line now is asked to publish it once more."""

    refresh: LineRefreshed


class OrderSettled(msgspec.Struct, frozen=True):
    """Nothing of the order is open since ``at``; it may be forgotten at ``due`` if that stays so."""

    order_id: str
    at: int
    due: int


class OrderReopened(msgspec.Struct, frozen=True):
    """Something of a settled order is open again."""

    order_id: str


class OrderForgotten(msgspec.Struct, frozen=True):
    """The order was settled for the whole retention and is no longer known."""

    order_id: str


# --- notices


class WindowOpened(msgspec.Struct, frozen=True):
    """What changes in the order until ``due`` is told in one notice (R20)."""

    order_id: str
    due: int


class WindowClosed(msgspec.Struct, frozen=True):
    """The window ended; the next change opens a new one."""

    order_id: str


class NoticeIssued(msgspec.Struct, frozen=True):
    """A notice goes out."""

    notice: Notice


# --- advance ship notices


class AsnVersionAccepted(msgspec.Struct, frozen=True):
    """This whole notice is the ASN's newest; its lines follow in :class:`InboundSent`."""

    asn_id: str
    version: int
    location: str
    eta: int
    event: AppliedEvent


class AsnArrived(msgspec.Struct, frozen=True):
    """The goods of the ASN are at the dock; stock and promises wait for the receipts."""

    asn_id: str
    version: int
    event: AppliedEvent


class AsnEnded(msgspec.Struct, frozen=True):
    """CLOSED or CANCELLED: nothing more is expected; to be forgotten at ``due``."""

    asn_id: str
    version: int
    event: AppliedEvent
    due: int


class AsnVersionRefused(msgspec.Struct, frozen=True):
    """A newer version of an ended ASN changed nothing but the watermark."""

    asn_id: str
    version: int
    event: AppliedEvent


class InboundSent(msgspec.Struct, frozen=True):
    """The book of a SKU is told all that the ASN has for it."""

    inbound: InboundChanged


class AsnForgotten(msgspec.Struct, frozen=True):
    """The ASN had ended for the whole retention and is no longer known."""

    asn_id: str


# --- both


class ForgettingPostponed(msgspec.Struct, frozen=True):
    """The timer came too early: look again at ``due``, or never when nothing is settled (None)."""

    kind: str
    subject: str
    due: int | None


Outcome = (
    OrderVersionAccepted
    | OrderCancelled
    | OrderVersionRefused
    | DemandSent
    | LineNoted
    | RefreshSent
    | OrderSettled
    | OrderReopened
    | OrderForgotten
    | WindowOpened
    | WindowClosed
    | NoticeIssued
    | AsnVersionAccepted
    | AsnArrived
    | AsnEnded
    | AsnVersionRefused
    | InboundSent
    | AsnForgotten
    | ForgettingPostponed
)
