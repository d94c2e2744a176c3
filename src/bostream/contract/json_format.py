"""JSON values <-> plain values and records: the schema's fields as plain JSON, unions unwrapped.

What must stay true: whatever the bytes are, reading ends in a dict or in :class:`bostream.errors.BadRecordError`, with
a bound on nesting that does not depend on the state of the interpreter's stack. Times come as integers in µs or as
RFC 3339 text with a zone, and leave as RFC 3339 in UTC with microseconds.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec

from bostream.contract import limits
from bostream.contract.reasons import BadRecord
from bostream.errors import BadRecordError

Plain = dict[str, Any]
FixTimes = Callable[[Plain], None]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ZONED = Annotated[datetime, msgspec.Meta(tz=True)]
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or the rest of the value where one never ends: it always matches, so removing strings takes linear time."""
_OPENING: Final = b"[{"
_BRACKETS: Final = re.compile(rb"[\[\]{}]")
_TIMES_REMEMBERED_MAX: Final = 16_384


def read_json(value: bytes) -> Plain:
    """Decode one JSON object."""
    _check_depth(value)
    try:
        plain = msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise BadRecordError(BadRecord.UNDECODABLE, f"not JSON: {_position_only(error)}") from None
    if not isinstance(plain, dict):
        raise BadRecordError(BadRecord.WRONG_TYPE, "the JSON value is not an object")
    return plain


def _position_only(error: Exception) -> str:
    """Say what a library said as far as it cannot quote the payload."""
    return str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__


def _check_depth(value: bytes) -> None:
    if value.count(b"[") + value.count(b"{") <= limits.JSON_DEPTH_MAX:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRING.sub(b"", value)):
        if bracket in _OPENING:
            depth += 1
            if depth > limits.JSON_DEPTH_MAX:
                raise BadRecordError(BadRecord.TOO_DEEP, f"nested deeper than {limits.JSON_DEPTH_MAX}")
        else:
            depth -= 1


def time_from_text(text: str, field: str) -> int:
    """Return the µs since the epoch of an RFC 3339 time with a zone; finer digits are rounded."""
    try:
        moment = msgspec.convert(text, _ZONED)
    except (msgspec.ValidationError, ValueError, OverflowError):
        raise BadRecordError(
            BadRecord.WRONG_TYPE, f"{field} must be µs as an integer or RFC 3339 text with a zone"
        ) from None
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=_TIMES_REMEMBERED_MAX)
def time_to_text(micros: int) -> str:
    """Return the time as RFC 3339 in UTC with microseconds."""
    return (_EPOCH + micros * _MICROSECOND).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def compile_times_reader(schema: Mapping[str, Any]) -> FixTimes:
    """Make a function that turns the time texts of a decoded object into µs, in place."""
    return _compile_times(schema, _read_time)


def compile_times_writer(schema: Mapping[str, Any]) -> FixTimes:
    """Make a function that turns the µs of an object's times into text, in place."""
    return _compile_times(schema, _write_time)


def _read_time(value: Any, field: str) -> Any:
    return time_from_text(value, field) if isinstance(value, str) else value


def _write_time(value: Any, _field: str) -> Any:
    return None if value is None else time_to_text(value)


def _compile_times(schema: Mapping[str, Any], convert: Callable[[Any, str], Any]) -> FixTimes:
    times = [field["name"] for field in schema["fields"] if _is_time(field["type"])]
    nested = [
        (field["name"], _compile_times(field["type"]["items"], convert))
        for field in schema["fields"]
        if _is_array_of_records(field["type"]) and _has_time(field["type"]["items"])
    ]

    def fix_times(plain: Plain) -> None:
        for name in times:
            if name in plain:
                plain[name] = convert(plain[name], name)
        for name, fix_item in nested:
            items = plain.get(name)
            for item in items if isinstance(items, list | tuple) else ():
                if isinstance(item, dict):
                    fix_item(item)

    return fix_times


def _is_time(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(_is_time(branch) for branch in schema)
    return isinstance(schema, dict) and schema.get("logicalType") == "timestamp-micros"


def _is_array_of_records(schema: Any) -> bool:
    return isinstance(schema, dict) and schema["type"] == "array" and isinstance(schema["items"], dict)


def _has_time(schema: Mapping[str, Any]) -> bool:
    return any(_is_time(field["type"]) for field in schema.get("fields", ()))
