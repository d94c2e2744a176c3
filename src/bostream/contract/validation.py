"""Plain values -> records, checked the same way whatever the format was.

What must stay true: a record that leaves here keeps every promise of the contract, and a detail names a field and what
is wrong with it, never what it held.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, assert_never

import msgspec

from bostream.contract.reasons import BadRecord
from bostream.contract.records import AsnEvent, AsnLine, InventoryScan, OrderEvent, OrderLine
from bostream.domain.documents.events import OrderAction
from bostream.domain.sku.events import ScanType
from bostream.errors import BadRecordError

Record = TypeVar("Record")

_DOCUMENTS: Final = frozenset({OrderAction.PLACED, OrderAction.AMENDED})
_LINE_SCANS: Final = frozenset({ScanType.PICKED, ScanType.UNPICKED, ScanType.SHIPPED, ScanType.SHORTED})

_ENUM_PREFIX: Final = "Invalid enum value"
_SYMPTOMS: Final = (
    ("Object missing required field", BadRecord.MISSING_FIELD),
    ("Expected `str` of length >= 1", BadRecord.EMPTY_ID),
    ("Expected `str` of length <=", BadRecord.TOO_LONG),
    ("Expected `array` of length <=", BadRecord.TOO_LARGE),
    ("Expected `int` >=", BadRecord.OUT_OF_RANGE),
    ("Expected `int` <=", BadRecord.OUT_OF_RANGE),
    ("Integer value out of range", BadRecord.OUT_OF_RANGE),
)
"""How msgspec words a violation; anything else is a wrong type. Only enum messages quote what was there."""


def to_record(plain: object, record_type: type[Record]) -> Record:
    """Check a plain value (dict of a decoded record) and make it a record.

    Raises:
        BadRecordError: it breaks the contract.
    """
    try:
        record = msgspec.convert(plain, record_type)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from None
    check = _CHECKS.get(record_type)
    return record if check is None else check(record)


def _explain(message: str) -> BadRecordError:
    if message.startswith(_ENUM_PREFIX):
        _, separator, path = message.rpartition(" - at ")
        where = f" at {path}" if separator else ""
        return BadRecordError(BadRecord.UNKNOWN_ENUM, f"a symbol that is not known{where}")
    for beginning, reason in _SYMPTOMS:
        if message.startswith(beginning):
            return BadRecordError(reason, message)
    return BadRecordError(BadRecord.WRONG_TYPE, message)


def _check_order(order: OrderEvent) -> OrderEvent:
    if order.type in _DOCUMENTS:
        if order.accepted_at is None:
            raise _missing("accepted_at", order.type)
        if not order.lines:
            raise _missing("lines", order.type)
    _check_line_ids(order.lines)
    if len(set(order.locations)) != len(order.locations):
        # Naming a warehouse twice says nothing new; the first place in the list is its preference.
        return msgspec.structs.replace(order, locations=tuple(dict.fromkeys(order.locations)))
    return order


def _check_scan(scan: InventoryScan) -> InventoryScan:
    match scan.type:
        case ScanType.COUNTED:
            _check_quantity(scan.quantity >= 0, scan.type, "0 or more")
        case ScanType.ADJUSTED:
            _check_quantity(scan.quantity != 0, scan.type, "other than 0")
        case (
            ScanType.RECEIVED
            | ScanType.PICKED
            | ScanType.UNPICKED
            | ScanType.SHIPPED
            | ScanType.SHORTED
            | ScanType.RETURNED
            | ScanType.QUARANTINED
            | ScanType.UNQUARANTINED
            | ScanType.TRANSFERRED_OUT
            | ScanType.TRANSFERRED_IN
        ):
            _check_quantity(scan.quantity > 0, scan.type, "more than 0")
        case _:
            assert_never(scan.type)
    if scan.type in _LINE_SCANS:
        if scan.order_id is None:
            raise _missing("order_id", scan.type)
        if scan.line_id is None:
            raise _missing("line_id", scan.type)
    if scan.asn_line_id is not None and scan.asn_id is None:
        raise BadRecordError(BadRecord.MISSING_FIELD, "asn_line_id says nothing without asn_id")
    return scan


def _check_quantity(is_allowed: bool, scan_type: str, allowed: str) -> None:
    if not is_allowed:
        raise BadRecordError(BadRecord.OUT_OF_RANGE, f"quantity of {scan_type} must be {allowed}")


def _check_asn(asn: AsnEvent) -> AsnEvent:
    _check_line_ids(asn.lines)
    return asn


def _check_line_ids(lines: Iterable[OrderLine | AsnLine]) -> None:
    seen: set[str] = set()
    for line in lines:
        if line.line_id in seen:
            raise BadRecordError(BadRecord.DUPLICATE_LINE, "line_id occurs more than once in lines")
        seen.add(line.line_id)


def _missing(field: str, type_name: str) -> BadRecordError:
    return BadRecordError(BadRecord.MISSING_FIELD, f"{field} is required on {type_name}")


_CHECKS: Final[dict[type, Callable[[Any], Any]]] = {
    OrderEvent: _check_order,
    InventoryScan: _check_scan,
    AsnEvent: _check_asn,
}
"""What one field cannot tell alone. Policies and outputs need nothing beyond their types."""
