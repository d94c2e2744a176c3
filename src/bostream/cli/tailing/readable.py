"""One record as one line for people.

What must stay true: a line is one line: whatever a payload holds, nothing of it can move the cursor, change colours or
begin a new line of its own.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from bostream.cli.tailing.decoding import Letter, Seen, payload_of
from bostream.cli.tailing.explain_allocation import explain_allocation
from bostream.contract.records import (
    AllocationEvent,
    AllocationPolicy,
    AsnEvent,
    AsnLine,
    BackorderLine,
    InventoryScan,
    Notification,
    OrderEvent,
    OrderLine,
    StockPosition,
)
from bostream.domain.sku.rank import time_text
from bostream.engine.chain import CommitRecord

UNDECODABLE_WORD: Final = "UNDECODABLE"
DELETED_WORD: Final = "DELETED"
LINES_SHOWN_MAX: Final = 5
PAYLOAD_CHARACTERS_MAX: Final = 200
_DATE_CHARACTERS: Final = 10
_SECONDS: Final = slice(11, 19)


class Readable(NamedTuple):
    """A line in three parts, so that the word in the middle can be coloured."""

    time: str
    word: str
    text: str

    def __str__(self) -> str:
        """Return the whole line."""
        return f"{self.time} {self.word} {self.text}"


def readable(seen: Seen, now: int) -> Readable:
    """Return the line of a record.

    Args:
        seen: the record.
        now: the present moment (µs, UTC): records of today are shown without the date.
    """
    word, text = _word_and_text(seen)
    return Readable(moment(seen.record.timestamp, now), escaped(word), escaped(text))


def moment(micros: int, now: int) -> str:
    """Return a time in UTC to the second; the date only when it is not today's."""
    text, today = time_text(micros), time_text(now)
    if text[:_DATE_CHARACTERS] == today[:_DATE_CHARACTERS]:
        return text[_SECONDS]
    return f"{text[:_DATE_CHARACTERS]} {text[_SECONDS]}".strip()


def minute(micros: int | None) -> str:
    """Return a time in UTC to the minute, with its date; ``none`` where there is no time."""
    return "none" if micros is None else time_text(micros)[:16] + "Z"


def escaped(text: str) -> str:
    """Return text with everything that is no visible character written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _word_and_text(seen: Seen) -> tuple[str, str]:
    if seen.letter is not None:
        return seen.letter.reason or "DEAD", _letter_text(seen, seen.letter)
    if seen.fault:
        return UNDECODABLE_WORD, f"{seen.place} key {_key(seen)}: {seen.fault}; value {_payload(seen)}"
    match seen.value:
        case AllocationEvent() as event:
            return event.type, explain_allocation(event)
        case Notification() as notice:
            return notice.type, _notification(notice)
        case BackorderLine() as line:
            return line.status, _backorder_line(line)
        case StockPosition() as position:
            return "STOCK", _stock_position(position)
        case OrderEvent() as order:
            return order.type, _order(order)
        case InventoryScan() as scan:
            return scan.type, _scan(scan)
        case AsnEvent() as asn:
            return asn.type, _asn(asn)
        case AllocationPolicy() as policy:
            return "POLICY", _policy(policy)
        case CommitRecord() as commit:
            return "COMMIT", _commit(seen, commit)
        case _:
            return _internal(seen)


# --- outputs


def _notification(notice: Notification) -> str:
    about = [f"order {notice.order_id} v{notice.order_version}"] if notice.order_id else []
    if notice.customer_id:
        about.append(f"customer {notice.customer_id}")
    subject = ", ".join(about)
    lines = _limited([_notification_line(line) for line in notice.lines])
    return (
        f"to {notice.audience}{' about ' + subject if subject else ''}: {notice.message}"
        f"{' [' + lines + ']' if lines else ''}; caused by {notice.cause_event_id}"
    )


def _notification_line(line: Any) -> str:
    previous = "" if line.previous_eta is None else f" (was {minute(line.previous_eta)})"
    eta = "" if line.eta is None and not previous else f", ETA {minute(line.eta)}{previous}"
    place = "" if line.queue_position is None else f", place {line.queue_position} in the queue"
    return (
        f"line {line.line_id}: {line.sku} {line.allocated} of {line.ordered} allocated, {line.shipped} shipped, "
        f"{line.waiting} waiting{eta}{place}"
    )


def _backorder_line(line: BackorderLine) -> str:
    done = "".join(
        f", {units} {word}"
        for units, word in ((line.picked, "picked"), (line.shipped, "shipped"), (line.cancelled, "cancelled"))
        if units
    )
    waiting = f", {line.waiting} waiting since {minute(line.waiting_since)}" if line.waiting else ", 0 waiting"
    eta = f"; ETA {minute(line.eta)} by {line.eta_source}" if line.eta is not None else ""
    return (
        f"order {line.order_id} line {line.line_id} {line.sku}: {line.allocated} of {line.ordered} allocated"
        f"{done}{waiting}{eta}; rank {line.rank}"
    )


def _stock_position(position: StockPosition) -> str:
    more = "".join(
        f", {units} {word}"
        for units, word in (
            (position.picked, "picked"),
            (position.quarantined, "quarantined"),
            (position.deficit, "short"),
        )
        if units
    )
    inbound = f", {position.inbound} inbound, next {minute(position.next_eta)}" if position.inbound else ""
    return (
        f"{position.sku} at {position.location}: {position.on_hand} on hand, {position.allocated} allocated, "
        f"{position.available} available{more}, {position.waiting} waiting{inbound}"
    )


# --- inputs


def _order(order: OrderEvent) -> str:
    parts = [f"order {order.order_id} v{order.order_version} of customer {order.customer_id} (event {order.event_id})"]
    if order.lines:
        parts.append(_lines(order.lines))
    parts.append(f"{order.ship_policy}, priority {order.priority}, accepted {minute(order.accepted_at)}")
    if order.locations:
        parts.append(f"from {', '.join(order.locations)}")
    if order.need_by is not None:
        parts.append(f"needed by {minute(order.need_by)}")
    if order.cancel_after is not None:
        parts.append(f"cancel after {minute(order.cancel_after)}")
    return "; ".join(parts)


def _scan(scan: InventoryScan) -> str:
    text = f"{scan.quantity} × {scan.sku} at {scan.location} (event {scan.event_id})"
    if scan.expected_quantity is not None:
        text += f", {scan.expected_quantity} expected"
    if scan.order_id is not None:
        text += f" for order {scan.order_id} line {scan.line_id}"
    if scan.asn_id is not None:
        text += f" of ASN {scan.asn_id}" + (f" line {scan.asn_line_id}" if scan.asn_line_id is not None else "")
    return text + (f": {scan.reason}" if scan.reason else "")


def _asn(asn: AsnEvent) -> str:
    supplier = f" from {asn.supplier_id}" if asn.supplier_id else ""
    text = (
        f"ASN {asn.asn_id} v{asn.asn_version}{supplier} to {asn.location} (event {asn.event_id}); ETA {minute(asn.eta)}"
    )
    return text + (f"; {_lines(asn.lines)}" if asn.lines else "")


def _policy(policy: AllocationPolicy) -> str:
    terms = msgspec.to_builtins(policy)
    for shown in ("event_id", "occurred_at", "policy_id", "version", "sku"):
        del terms[shown]
    return f"{policy.policy_id}@{policy.version} for {policy.sku} (event {policy.event_id}): {_json(terms)}"


def _lines(lines: Sequence[OrderLine | AsnLine]) -> str:
    return _limited([f"line {line.line_id}: {line.quantity} × {line.sku}" for line in lines])


def _limited(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:LINES_SHOWN_MAX])
    more = len(texts) - LINES_SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown


# --- the rest


def _internal(seen: Seen) -> tuple[str, str]:
    where = f"{seen.place} key {_key(seen)}"
    if seen.table is not None:
        where = f"{seen.place} table {seen.table} {seen.table_name} key {_key(seen)}"
    if seen.record.value is None:
        return DELETED_WORD, where
    if seen.table is not None:
        return "ROW", f"{where} = {_json(seen.plain)}"
    content = dict(seen.plain)
    return str(content.pop("record", "record")).upper(), f"{where}: {_json(content)}"


def _commit(seen: Seen, commit: CommitRecord) -> str:
    return (
        f"{seen.place} {commit.sequence} of {commit.owner}, epoch {commit.epoch}: {commit.changelog_records} rows, "
        f"{commit.output_records} records out, log up to offset {commit.log_offset}, "
        f"log time {time_text(commit.log_time)}"
    )


def _letter_text(seen: Seen, letter: Letter) -> str:
    message = letter.message.removeprefix(f"{letter.reason}: ")
    headers = ", ".join(f"{name}={value}" for name, value in letter.headers)
    return (
        f"{letter.topic or 'unknown topic'}/{letter.partition}@{letter.offset} refused by {letter.stage or 'nobody'}: "
        f"{message}; key {_key(seen)}; value {_payload(seen)}{'; headers ' + headers if headers else ''}"
    )


def _key(seen: Seen) -> str:
    if seen.key is None:
        return "none"
    return seen.key if isinstance(seen.key, str) else "/".join(str(part) for part in seen.key)


def _payload(seen: Seen) -> str:
    if seen.record.value is None:
        return "null"
    if seen.plain is not None:
        return _cut(_json(seen.plain))
    ((name, text),) = payload_of(seen.record.value).items()
    return _cut(str(text)) if name == "text" else f"base64 {_cut(str(text))}"


def _cut(text: str) -> str:
    cut = text[:PAYLOAD_CHARACTERS_MAX]
    return text if cut == text else f"{cut}… ({len(text)} characters)"


def _json(plain: Any) -> str:
    return msgspec.json.encode(plain).decode()
