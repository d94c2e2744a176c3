"""What customers and operations are told about orders and ASNs (R20).

What must stay true: a notice tells what differs between now and the last notice, so changes that cancelled each other
out are silent and the same eta is never news twice in a row; a message is one plain English sentence.
"""

from datetime import UTC, datetime, timedelta

from bostream.domain.documents.events import AsnReceived, OrderReceived
from bostream.domain.documents.outcomes import Audience, Notice, NoticeLine, NoticeType
from bostream.domain.documents.state import OrderDocument, OrderLine

_STRENGTH = {kind: strength for strength, kind in enumerate(NoticeType)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = datetime(1, 1, 1, tzinfo=UTC)
_LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)


class Change:
    """How one line differs from what was told, and the strongest type that this calls for."""

    __slots__ = ("line", "type")

    def __init__(self, line: OrderLine, kind: NoticeType) -> None:
        self.line = line
        self.type = kind


def customer_notice(document: OrderDocument, due: int) -> Notice | None:
    """Sum up the window that ends at ``due`` (µs): one notice under the strongest type, or None without news."""
    changes = [change for line in document.lines.values() if (change := _present_change(line)) is not None]
    changes += [change for line in document.former if (change := _former_change(line)) is not None]
    if not changes or document.window_cause is None or document.terms is None:
        return None
    changes.sort(key=lambda change: (change.line.line_id, change.line.sku))
    kind = min((change.type for change in changes), key=_STRENGTH.__getitem__)
    if kind is NoticeType.ALLOCATED and _something_waits(document):
        kind = NoticeType.PARTIALLY_ALLOCATED
    return Notice(
        cause=document.window_cause,
        audience=Audience.CUSTOMER,
        type=kind,
        order_id=document.order_id,
        subject=document.order_id,
        customer_id=document.terms.customer_id,
        order_version=document.version,
        lines=tuple(_told(change.line) for change in changes),
        deduplication=(document.order_id, Audience.CUSTOMER, str(due)),
        message=_message(document, kind, [change.line for change in changes]),
    )


def order_refused(document: OrderDocument, event: OrderReceived) -> Notice:
    """Operations hears of a newer version of a cancelled order."""
    version = event.terms.order_version
    return Notice(
        cause=event.cause,
        audience=Audience.OPERATIONS,
        type=NoticeType.DISCREPANCY,
        order_id=event.order_id,
        subject=event.order_id,
        customer_id=event.terms.customer_id or ("" if document.terms is None else document.terms.customer_id),
        order_version=version,
        lines=(),
        deduplication=(event.order_id, Audience.OPERATIONS, event.action, str(version)),
        message=f"Order {event.order_id} is cancelled for good, so its newer version {version} ({event.action}) "
        "was ignored.",
    )


def asn_refused(event: AsnReceived) -> Notice:
    """Operations hears of a newer version of an ASN that was CLOSED or CANCELLED."""
    return Notice(
        cause=event.cause,
        audience=Audience.OPERATIONS,
        type=NoticeType.DISCREPANCY,
        order_id="",
        subject=event.asn_id,
        customer_id="",
        order_version=0,
        lines=(),
        deduplication=("asn", event.asn_id, Audience.OPERATIONS, event.action, str(event.version)),
        message=f"Advance ship notice {event.asn_id} has ended, so its newer version {event.version} "
        f"({event.action}) was ignored.",
    )


def _present_change(line: OrderLine) -> Change | None:
    """Compare a line with what was told; the strongest difference names the type."""
    shipped = line.shipped - line.told_shipped
    gained = line.allocated - line.told_allocated + shipped
    waiting = line.waiting - line.told_waiting
    promise = line.promise()
    if gained + waiting < 0:
        return Change(line, NoticeType.CANCELLED)
    if shipped > 0:
        return Change(line, NoticeType.SHIPPED)
    if gained > 0:
        return Change(line, NoticeType.ALLOCATED)
    if waiting > 0:
        return Change(line, NoticeType.BACKORDERED)
    if promise == line.told_eta:
        return None
    return Change(line, NoticeType.ETA_SET if line.told_eta is None else NoticeType.ETA_CHANGED)


def _former_change(line: OrderLine) -> Change | None:
    """Of a line under a SKU that it moved away from, only what still ships is news."""
    return Change(line, NoticeType.SHIPPED) if line.shipped > line.told_shipped else None


def _told(line: OrderLine) -> NoticeLine:
    return NoticeLine(
        line_id=line.line_id,
        sku=line.sku,
        ordered=line.ordered,
        allocated=line.allocated,
        shipped=line.shipped,
        waiting=line.waiting,
        eta=line.promise(),
        previous_eta=line.told_eta,
    )


def _something_waits(document: OrderDocument) -> bool:
    """Units that were asked for and not reported yet count as waiting."""
    return any(line.waiting > 0 or line.is_pending for line in document.lines.values())


# --- messages


def _message(document: OrderDocument, kind: NoticeType, lines: list[OrderLine]) -> str:
    """Say in one sentence what happened, counted over the lines that changed, and what to expect of the rest."""
    order = document.order_id
    match kind:
        case NoticeType.CANCELLED:
            lost = sum(max(0, _told_demand(line) - _demand(line)) for line in lines)
            return f"{_units(lost)} of your order {order} {_was(lost)} cancelled{_rest(document)}."
        case NoticeType.SHIPPED:
            shipped = sum(max(0, line.shipped - line.told_shipped) for line in lines)
            return f"{_units(shipped)} of your order {order} {_has(shipped)} shipped{_rest(document)}."
        case NoticeType.ALLOCATED:
            return f"Everything in your order {order} is now in stock and reserved for you."
        case NoticeType.PARTIALLY_ALLOCATED:
            gained = sum(max(0, _gained(line)) for line in lines)
            return f"{_units(gained)} of your order {order} {_is(gained)} now reserved for you{_rest(document)}."
        case NoticeType.BACKORDERED:
            waiting = sum(line.waiting for line in lines)
            return (
                f"{_units(waiting)} of your order {order} {_is(waiting)} not in stock yet and "
                f"will follow as soon as possible{_expected(lines)}."
            )
        case NoticeType.ETA_SET:
            return f"We now expect what is still missing from your order {order}{_by(_last_eta(lines))}."
        case _:
            eta = _last_eta(lines)
            if eta is None:
                return f"We no longer have a date for what is still missing from your order {order}."
            return f"The expected date for what is still missing from your order {order} has moved to {_day(eta)}."


def _demand(line: OrderLine) -> int:
    return line.allocated + line.shipped + line.waiting


def _told_demand(line: OrderLine) -> int:
    return line.told_allocated + line.told_shipped + line.told_waiting


def _gained(line: OrderLine) -> int:
    return line.allocated + line.shipped - line.told_allocated - line.told_shipped


def _rest(document: OrderDocument) -> str:
    """Half a sentence about the units of the whole order that still wait; empty when none does."""
    lines = [line for line in document.lines.values() if line.waiting > 0]
    waiting = sum(line.waiting for line in lines)
    return f", and {_units(waiting)} {_is(waiting)} still to come{_expected(lines)}" if waiting else ""


def _expected(lines: list[OrderLine]) -> str:
    eta = _last_eta(lines)
    return "" if eta is None else f", expected{_by(eta)}"


def _last_eta(lines: list[OrderLine]) -> int | None:
    """Return the latest promise over lines that wait; None as soon as one of them has none."""
    promises = [line.promise() for line in lines if line.waiting > 0]
    known = [promise for promise in promises if promise is not None]
    return max(known) if known and len(known) == len(promises) else None


def _by(eta: int | None) -> str:
    return " soon" if eta is None else f" by {_day(eta)}"


def _day(eta: int) -> str:
    """Write a date for people, in UTC; a moment beyond the calendar reads as its last or first day."""
    try:
        day = _EPOCH + timedelta(microseconds=eta)
    except OverflowError:
        day = _LAST_DAY if eta > 0 else _FIRST_DAY
    return f"{day.day} {day:%B} {day.year}"


def _units(count: int) -> str:
    return "1 unit" if count == 1 else f"{count} units"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
