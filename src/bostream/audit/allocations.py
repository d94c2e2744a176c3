"""Published allocations against the movements of the reference, by SKU and ``sku_sequence`` (I9, I11).

What must stay true: each expected movement is met by exactly one record with the same fields, whose id is made of the
log position that caused it, and the records of a SKU stand in order of their sequence in each partition.
"""

from typing import Final

from bostream.audit.findings import Findings, Kind, Place
from bostream.audit.identities import Identities, Positions, header_id
from bostream.audit.ledger import MOVEMENT_FIELDS, Account, Ledger, MovementFields, Origin
from bostream.audit.source import StoredRecord, place_of
from bostream.contract.codec import RecordReader
from bostream.contract.records import AllocationEvent
from bostream.errors import BadRecordError

_CAUSE_FIELDS: Final = ("cause_event_id", "cause_type", "occurred_at")


class Allocations:
    """Compares the records of the ``allocations`` topic.

    Args:
        ledger: after its replay.
        skus_log: the log whose positions the ids are made of.
        reader: of the topic.
        identities: told every id.
        findings: added to.
    """

    def __init__(
        self, ledger: Ledger, skus_log: str, reader: RecordReader, identities: Identities, findings: Findings
    ) -> None:
        self._ledger = ledger
        self._skus_log = skus_log
        self._positions = Positions(skus_log)
        self._read = reader.read
        self._identities = identities
        self._findings = findings
        self._met: dict[str, bytearray] = {}
        self._last: dict[tuple[int, str], int] = {}

    def add(self, record: StoredRecord) -> None:
        """Take in one record, in offset order within each partition."""
        place = place_of(record)
        try:
            event = self._read(record.value)
        except BadRecordError as error:
            self._findings.add(Kind.UNREADABLE, place, "an allocation", expected="a record", actual=error)
            return
        if not isinstance(event, AllocationEvent):
            raise TypeError("the reader is not one of allocations")
        self._findings.compared["allocations"] += 1
        subject = _subject(event.sku, event.sku_sequence, event.order_id, event.line_id)
        self._identities.add(record, event.event_id, subject)
        self._check_order(event, place, subject)
        account = self._ledger.accounts.get(event.sku)
        index = event.sku_sequence - 1
        if account is None or not 0 <= index < len(account.expected):
            known = 0 if account is None else len(account.expected)
            self._findings.add(
                Kind.ALLOCATION_UNEXPECTED,
                place,
                subject,
                expected=f"no more than {known} allocation events of this SKU",
                actual=_told(_fields(event)),
            )
            return
        met = self._met.get(event.sku)
        if met is None:
            met = self._met[event.sku] = bytearray(len(account.expected))
        if met[index]:
            self._findings.add(
                Kind.ALLOCATION_DOUBLED, place, subject, expected="each sku_sequence once", actual="once more"
            )
            return
        met[index] = 1
        self._compare(event, record, account, subject)

    def _check_order(self, event: AllocationEvent, place: Place, subject: str) -> None:
        slot = (place.partition, event.sku)
        last = self._last.get(slot, 0)
        if event.sku_sequence < last:
            self._findings.add(
                Kind.ALLOCATION_OUT_OF_ORDER,
                place,
                subject,
                expected=f"a sku_sequence above {last}, the one before it in this partition",
                actual=event.sku_sequence,
            )
        self._last[slot] = max(last, event.sku_sequence)

    def _compare(self, event: AllocationEvent, record: StoredRecord, account: Account, subject: str) -> None:
        expected, origin = account.expected[event.sku_sequence - 1]
        actual = _fields(event)
        cause = origin.cause
        wanted = (cause.event_id, cause.type, cause.occurred_at)
        given = (event.cause_event_id, event.cause_type, event.occurred_at)
        key = (record.key or b"").decode(errors="replace")
        if actual != expected or given != wanted or key != expected[1]:
            names = (*MOVEMENT_FIELDS, *_CAUSE_FIELDS, "key")
            pairs = zip(names, (*expected, *wanted, expected[1]), (*actual, *given, key), strict=True)
            wrong: list[tuple[str, object, object]] = [(name, one, other) for name, one, other in pairs if one != other]
            self._findings.add(
                Kind.ALLOCATION_WRONG,
                place_of(record),
                subject,
                expected=" ".join(f"{name}={one}" for name, one, _ in wrong),
                actual=" ".join(f"{name}={other}" for name, _, other in wrong),
            )
        self._check_id(event, record, account, origin, subject)

    def _check_id(
        self, event: AllocationEvent, record: StoredRecord, account: Account, origin: Origin, subject: str
    ) -> None:
        earliest = event.sku_sequence - origin.first_sequence
        is_made_there = self._positions.makes(event.event_id, account.partition, origin.offset, earliest)
        if not is_made_there or header_id(record) != event.event_id:
            self._findings.add(
                Kind.EVENT_ID_WRONG,
                place_of(record),
                subject,
                expected=f"an id made of {self._skus_log}/{account.partition}/{origin.offset}, in field and header",
                actual=f"{event.event_id}, in the header {header_id(record)}",
            )

    def finish(self, topic: str, *, is_whole: bool) -> None:
        """Report what is missing; ``is_whole``: the topic has its beginning."""
        gone = 0
        for sku, account in self._ledger.accounts.items():
            met = self._met.get(sku, b"")
            for index in range(account.required):
                if index < len(met) and met[index]:
                    continue
                if not is_whole:
                    gone += 1
                    continue
                fields, origin = account.expected[index]
                self._findings.add(
                    Kind.ALLOCATION_MISSING,
                    Place(topic),
                    _subject(sku, index + 1, fields[1], fields[2]),
                    expected=f"{_told(fields)}, caused by {self._skus_log}/{account.partition}/{origin.offset}",
                    actual="nothing",
                )
            self._findings.compared["movements of the reference"] += account.required
        if gone:
            self._findings.limit(f"{topic} has lost its beginning: {gone} movements could not be compared")


def _fields(event: AllocationEvent) -> MovementFields:
    return (
        event.type.value,
        event.order_id,
        event.line_id,
        event.location,
        event.quantity,
        event.reason.value,
        event.ordered,
        event.allocated,
        event.picked,
        event.shipped,
        event.cancelled,
        event.waiting,
        event.on_hand_after,
        event.available_after,
    )


def _subject(sku: str, sequence: int, order_id: str, line_id: str) -> str:
    return f"SKU {sku} sku_sequence {sequence}, order {order_id}, line {line_id}"


def _told(fields: MovementFields) -> str:
    kind, _, _, location, quantity, reason = fields[:6]
    return f"{kind} {quantity} at {location or 'no location'} for {reason}"
