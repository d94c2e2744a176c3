"""The compacted topics, last value per key, against how the reference stands: ``stock-positions``, ``backorder-lines``.

What must stay true: each open line and each location with anything is shown as it stands, with its promise; a closed
line's key is empty or a tombstone.
"""

from collections.abc import Iterator, Mapping

from bostream.audit.findings import Findings, Kind, Place
from bostream.audit.identities import Identities, header_id
from bostream.audit.ledger import Account, Ledger, OpenLine
from bostream.audit.reference_line import LineKey
from bostream.audit.reference_promise import Promise
from bostream.audit.source import StoredRecord, place_of
from bostream.contract.codec import RecordReader
from bostream.contract.identity import join_key, split_key
from bostream.contract.records import BackorderLine, StockPosition
from bostream.errors import BadRecordError

Shown = dict[str, object]
"""Named values of one key, as far as they are compared."""


class LastValues:
    """The last value of every key of one compacted topic.

    Args:
        topic: full name.
        identities: told every id.
        findings: added to.
    """

    def __init__(self, topic: str, identities: Identities, findings: Findings) -> None:
        self.topic = topic
        self._identities = identities
        self._findings = findings
        self._last: dict[bytes, tuple[bytes | None, int, int]] = {}

    def add(self, record: StoredRecord) -> None:
        """Take in one record, in offset order within each partition."""
        key = record.key or b""
        identity = header_id(record)
        if identity is None:
            place = place_of(record)
            self._findings.add(Kind.EVENT_ID_WRONG, place, _text(key), expected="the header ce_id", actual="none")
        else:
            self._identities.add(record, identity, _text(key))
        self._last[key] = (record.value, record.partition, record.offset)

    def items(self) -> Iterator[tuple[str, bytes | None, Place]]:
        """Yield (key, value, where)."""
        for key, (value, partition, offset) in self._last.items():
            yield _text(key), value, Place(self.topic, partition, offset)


def check_stock_positions(last: LastValues, ledger: Ledger, reader: RecordReader, findings: Findings) -> int:
    """Compare ``stock-positions``; return how many keys were left out because their SKU is moving."""
    found: dict[str, tuple[bytes | None, Place]] = {key: (value, place) for key, value, place in last.items()}
    for sku, account in ledger.accounts.items():
        for location, stock in account.book.stock().items():
            # What waits is shown wherever it may be served; a location that never had anything may be unknown.
            if any((stock.on_hand, stock.allocated, stock.picked, stock.quarantined, stock.inbound)):
                found.setdefault(join_key(sku, location), (None, Place(last.topic)))
    left_out = 0
    for key, (value, place) in found.items():
        sku, location = _sku_and_location(key)
        owner = ledger.accounts.get(sku)
        if owner is not None and owner.is_moving:
            left_out += 1
            continue
        expected = None if owner is None else _position(owner, location)
        actual = _read_position(reader, value, place, findings)
        findings.compared["stock positions"] += 1
        _report(
            findings,
            Kind.STOCK_POSITION_WRONG,
            place,
            f"SKU {sku}, location {location}",
            expected=expected,
            actual=actual,
        )
    return left_out


def _sku_and_location(key: str) -> tuple[str, str]:
    """Return both ids of a key; a key that is none of ours belongs to no SKU."""
    ids = split_key(key)
    return (ids[0], ids[1]) if len(ids) == len(("sku", "location")) else (key, "")


def _position(account: Account, location: str) -> Shown:
    stock = account.book.stock_at(location)
    return {
        "on_hand": stock.on_hand,
        "allocated": stock.allocated,
        "picked": stock.picked,
        "quarantined": stock.quarantined,
        "available": max(0, stock.on_hand - stock.allocated),
        "deficit": stock.deficit,
        "waiting": stock.waiting,
        "inbound": stock.inbound,
        "next_eta": stock.next_eta,
    }


def _read_position(reader: RecordReader, value: bytes | None, place: Place, findings: Findings) -> Shown | None:
    if value is None:
        return None
    try:
        record = reader.read(value)
    except BadRecordError as error:
        findings.add(Kind.UNREADABLE, place, "a stock position", expected="a record", actual=error)
        return None
    if not isinstance(record, StockPosition):
        raise TypeError("the reader is not one of stock-positions")
    return {
        "on_hand": record.on_hand,
        "allocated": record.allocated,
        "picked": record.picked,
        "quarantined": record.quarantined,
        "available": record.available,
        "deficit": record.deficit,
        "waiting": record.waiting,
        "inbound": record.inbound,
        "next_eta": record.next_eta,
    }


def check_backorder_lines(last: LastValues, ledger: Ledger, reader: RecordReader, findings: Findings) -> int:
    """Compare ``backorder-lines``; return how many keys were left out because a SKU of theirs is moving."""
    expected: dict[str, Shown] = {}
    unsure: set[str] = set()
    for sku, account in ledger.accounts.items():
        if account.is_moving:
            unsure.update(join_key(*key) for key in account.book.lines())
            continue
        promises: Mapping[LineKey, Promise | None] | None = None
        for key, line in account.shown_lines().items():
            if promises is None:
                promises = account.promises()
            expected[join_key(*key)] = _line(sku, line, promises.get(key))
    moving = {sku for sku, account in ledger.accounts.items() if account.is_moving}
    left_out = 0
    for text, value, place in last.items():
        actual = _read_line(reader, value, place, findings)
        wanted = expected.pop(text, None)
        if text in unsure or (actual is not None and actual["sku"] in moving):
            left_out += 1
            continue
        findings.compared["backorder lines"] += 1
        _report(findings, Kind.BACKORDER_LINE_WRONG, place, f"line {text}", expected=wanted, actual=actual)
    for text, wanted in expected.items():
        if text not in unsure:
            findings.compared["backorder lines"] += 1
            _report(
                findings, Kind.BACKORDER_LINE_WRONG, Place(last.topic), f"line {text}", expected=wanted, actual=None
            )
    return left_out


def _line(sku: str, line: OpenLine, promise: Promise | None) -> Shown:
    totals = line.totals
    if totals.shipped:
        status = "PARTIALLY_SHIPPED"
    elif not totals.waiting:
        status = "ALLOCATED"
    else:
        status = "PARTIALLY_ALLOCATED" if totals.allocated else "WAITING"
    return {
        "sku": sku,
        "ordered": totals.ordered,
        "allocated": totals.allocated,
        "picked": totals.picked,
        "shipped": totals.shipped,
        "cancelled": totals.cancelled,
        "waiting": totals.waiting,
        "status": status,
        "accepted_at": line.accepted_at,
        "eta": None if promise is None else promise.eta,
        "eta_source": None if promise is None else join_key(*promise.source),
    }


def _read_line(reader: RecordReader, value: bytes | None, place: Place, findings: Findings) -> Shown | None:
    if value is None:
        return None
    try:
        record = reader.read(value)
    except BadRecordError as error:
        findings.add(Kind.UNREADABLE, place, "a backorder line", expected="a record", actual=error)
        return None
    if not isinstance(record, BackorderLine):
        raise TypeError("the reader is not one of backorder-lines")
    return {
        "sku": record.sku,
        "ordered": record.ordered,
        "allocated": record.allocated,
        "picked": record.picked,
        "shipped": record.shipped,
        "cancelled": record.cancelled,
        "waiting": record.waiting,
        "status": record.status.value,
        "accepted_at": record.accepted_at,
        "eta": record.eta,
        "eta_source": record.eta_source,
    }


def _report(
    findings: Findings, kind: Kind, place: Place, subject: str, *, expected: Shown | None, actual: Shown | None
) -> None:
    if expected == actual:
        return
    names = set(expected or actual or ())
    if expected is not None and actual is not None:
        names = {name for name in names if expected[name] != actual[name]}
    findings.add(kind, place, subject, expected=_told(expected, names), actual=_told(actual, names))


def _told(shown: Shown | None, names: set[str]) -> str:
    if shown is None:
        return "nothing (no record, or a tombstone)"
    return " ".join(f"{name}={value}" for name, value in shown.items() if name in names)


def _text(key: bytes) -> str:
    return key.decode(errors="replace")
