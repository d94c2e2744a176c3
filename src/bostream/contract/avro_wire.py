"""Avro's binary primitives, read strictly.

What must stay true: reading never goes past the end, never allocates more than the bytes that are there, and accepts no
number beyond its width. Reading takes (bytes, position) and gives (value, next position); whatever is not Avro raises
:class:`bostream.errors.BadRecordError`.
"""

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from bostream.contract import limits
from bostream.contract.reasons import BadRecord
from bostream.errors import BadRecordError

Read = Callable[[bytes, int], tuple[Any, int]]

_MORE: Final = 0x80
_PAYLOAD: Final = 0x7F
_LONG_BYTES_MAX: Final = 10
_UNSIGNED_LONG_MAX: Final = 2**64 - 1
_FLOAT: Final = struct.Struct("<f")
_DOUBLE: Final = struct.Struct("<d")
_LONGS_REMEMBERED_MAX: Final = 65_536


def truncated() -> BadRecordError:
    """The value ends before its schema does."""
    return BadRecordError(BadRecord.UNDECODABLE, "the Avro value is shorter than its schema says")


def _malformed(what: str) -> BadRecordError:
    return BadRecordError(BadRecord.UNDECODABLE, f"the Avro value has {what}")


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Read a zig-zag varint of at most 64 bits."""
    try:
        byte = data[at]
        at += 1
        if byte < _MORE:
            return (byte >> 1) ^ -(byte & 1), at
        value = byte & _PAYLOAD
        shift = 7
        last = at + _LONG_BYTES_MAX - 1
        while True:
            byte = data[at]
            at += 1
            value |= (byte & _PAYLOAD) << shift
            if byte < _MORE:
                break
            if at == last:
                raise _malformed("a number of more than 64 bits")
            shift += 7
    except IndexError:
        raise truncated() from None
    if value > _UNSIGNED_LONG_MAX:
        raise _malformed("a number of more than 64 bits")
    return (value >> 1) ^ -(value & 1), at


def read_int(data: bytes, at: int) -> tuple[int, int]:
    """Read a zig-zag varint of at most 32 bits."""
    value, at = read_long(data, at)
    if not limits.INT_MIN <= value <= limits.INT_MAX:
        raise BadRecordError(BadRecord.OUT_OF_RANGE, "the Avro value has an int of more than 32 bits")
    return value, at


def read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """Read a length and so many bytes."""
    size, at = read_long(data, at)
    if size < 0:
        raise _malformed("a negative length")
    end = at + size
    if end > len(data):
        raise truncated()
    return data[at:end], end


def read_string(data: bytes, at: int) -> tuple[str, int]:
    """Read a length and so many bytes of UTF-8."""
    try:
        byte = data[at]
        if byte < _MORE and not byte & 1:  # the usual case, spelled out: less than 64 bytes
            end = at + 1 + (byte >> 1)
            if end > len(data):
                raise truncated()
            return data[at + 1 : end].decode(), end
        raw, at = read_bytes(data, at)
        return raw.decode(), at
    except IndexError:
        raise truncated() from None
    except UnicodeDecodeError:
        raise _malformed("a string that is not UTF-8") from None


def read_null(_data: bytes, at: int) -> tuple[None, int]:
    """Read nothing."""
    return None, at


def read_boolean(data: bytes, at: int) -> tuple[bool, int]:
    """Read one byte that must be 0 or 1."""
    if at >= len(data):
        raise truncated()
    if data[at] > 1:
        raise _malformed("a boolean that is neither 0 nor 1")
    return data[at] == 1, at + 1


def read_float(data: bytes, at: int) -> tuple[float, int]:
    """Read four bytes."""
    return _read_fixed_number(_FLOAT, data, at)


def read_double(data: bytes, at: int) -> tuple[float, int]:
    """Read eight bytes."""
    return _read_fixed_number(_DOUBLE, data, at)


def _read_fixed_number(layout: struct.Struct, data: bytes, at: int) -> tuple[float, int]:
    end = at + layout.size
    if end > len(data):
        raise truncated()
    return layout.unpack_from(data, at)[0], end


def reader_of_fixed(size: int) -> Read:
    """Make a reader of exactly ``size`` bytes."""

    def read_fixed(data: bytes, at: int) -> tuple[bytes, int]:
        end = at + size
        if end > len(data):
            raise truncated()
        return data[at:end], end

    return read_fixed


def reader_of_array(read_item: Read) -> Read:
    """Make a reader of blocks of items; each item must take at least one byte, so the bytes bound their number."""

    def read_array(data: bytes, at: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        while True:
            count, at = read_long(data, at)
            if count == 0:
                return items, at
            end = None
            if count < 0:
                count = -count
                size, at = read_long(data, at)
                end = at + size
            if count > len(data) - at:
                raise truncated()
            if len(items) + count > limits.LINES_MAX:
                raise BadRecordError(BadRecord.TOO_LARGE, f"an array has more than {limits.LINES_MAX} items")
            for _ in range(count):
                item, at = read_item(data, at)
                items.append(item)
            if end is not None and at != end:
                raise _malformed("a block whose size in bytes is not what it says")

    return read_array


@lru_cache(maxsize=_LONGS_REMEMBERED_MAX)
def long_bytes(value: int) -> bytes:
    """Return the zig-zag varint of a signed 64-bit integer."""
    if not limits.LONG_MIN <= value <= limits.LONG_MAX:
        raise OverflowError(f"{value} does not fit into 64 bits")
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest >= _MORE:
        out.append(rest & _PAYLOAD | _MORE)
        rest >>= 7
    out.append(rest)
    return bytes(out)
