"""Plain values -> Avro, compiled once per schema: what every output record passes through, so it has to be lean.

What must stay true: the bytes are those of the Avro specification, byte for byte what fastavro writes; a value that
does not fit raises ValueError, OverflowError, TypeError or KeyError and nothing is written. Records, arrays, enums,
nullable fields, strings, booleans and integers are known: all that the contract uses.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

Schema = Any
"""A parsed Avro schema: a name, a list (union) or a mapping."""

Encode = Callable[[Any], bytes]

_LENGTHS_PREPARED: Final = 64
"""Lengths that take one byte."""
_INTEGERS_REMEMBERED_MAX: Final = 8_192
"""Most are small, and times come several times in an event."""
_LOW_BITS: Final = 0x7F
_MORE: Final = 0x80
_INT_MAX: Final = 2**31 - 1
_LONG_MAX: Final = 2**63 - 1


def compile_encoder(schema: Schema) -> Encode | None:
    """Return what encodes values of this schema, or None when it has parts that are not known here."""
    match schema:
        case {"type": "record", "fields": fields}:
            return _record(fields)
        case {"type": "enum", "symbols": symbols}:
            return {symbol: _encode_long(index) for index, symbol in enumerate(symbols)}.__getitem__
        case {"type": "array", "items": items}:
            return _array(items)
        case ["null", kind]:
            return _nullable(kind)
        case {"type": kind} if "name" not in schema:
            return compile_encoder(kind)
        case str():
            return _PRIMITIVES.get(schema)
        case _:
            return None


def _record(fields: list[dict[str, Any]]) -> Encode | None:
    encoders: list[tuple[str, Encode]] = []
    for field in fields:
        encode_field = compile_encoder(field["type"])
        if encode_field is None:
            return None
        encoders.append((field["name"], encode_field))

    def encode(value: Any) -> bytes:
        return b"".join([encode_field(value[name]) for name, encode_field in encoders])

    return encode


def _array(items: Schema) -> Encode | None:
    encode_item = compile_encoder(items)
    if encode_item is None:
        return None

    def encode(value: Any) -> bytes:
        if not value:
            return b"\x00"
        return b"".join([_encode_long(len(value)), *[encode_item(item) for item in value], b"\x00"])

    return encode


def _nullable(kind: Schema) -> Encode | None:
    encode_kind = compile_encoder(kind)
    if encode_kind is None:
        return None

    def encode(value: Any) -> bytes:
        return b"\x00" if value is None else b"\x02" + encode_kind(value)

    return encode


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > _LOW_BITS:
        out.append(number & _LOW_BITS | _MORE)
        number >>= 7
    out.append(number)
    return bytes(out)


@lru_cache(maxsize=_INTEGERS_REMEMBERED_MAX, typed=True)
def _encode_long(value: int) -> bytes:
    if type(value) is not int:
        raise TypeError(f"an integer is wanted, not {type(value).__name__}")
    if not -_LONG_MAX <= value + 1 <= _LONG_MAX + 1:
        raise OverflowError("an integer has more than 64 bits")
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _encode_int(value: int) -> bytes:
    if not -_INT_MAX <= value + 1 <= _INT_MAX + 1:
        raise OverflowError("an integer has more than 32 bits")
    return _encode_long(value)


_LENGTHS: Final = tuple(_varint(length << 1) for length in range(_LENGTHS_PREPARED))


def _encode_string(value: str) -> bytes:
    text = str.encode(value)
    length = len(text)
    return (_LENGTHS[length] if length < _LENGTHS_PREPARED else _varint(length << 1)) + text


def _encode_boolean(value: bool) -> bytes:
    if type(value) is not bool:
        raise TypeError(f"a boolean is wanted, not {type(value).__name__}")
    return b"\x01" if value else b"\x00"


_PRIMITIVES: Final[dict[str, Encode]] = {
    "string": _encode_string,
    "long": _encode_long,
    "int": _encode_int,
    "boolean": _encode_boolean,
}
