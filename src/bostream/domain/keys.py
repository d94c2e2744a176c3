"""Order-preserving keys: comparing two packed keys as bytes is comparing their parts in turn.

What must stay true: ``pack(a) < pack(b)`` exactly when ``a < b`` part by part, for tuples of the same shape, and
``unpack(pack(*parts)) == parts``. Strings compare as UTF-8 bytes (which is code point order), integers by value.
A packed tuple is a prefix of another exactly when its parts are the first parts of the other: so it selects them in a
scan. Strings end in ``00``, which never stands inside one (``00`` reads ``01 01`` there and ``01`` reads ``01 02``);
integers have a fixed width.
"""

from struct import Struct

from bostream.errors import InvariantError

Part = str | int

_STRING = 0x02
_INTEGER = 0x03
_INTEGER_BIAS = 1 << 63
_INTEGER_BYTES = 8
_pack_integer = Struct(">BQ").pack


def pack(*parts: Part) -> bytes:
    """Encode parts (strings, or integers in signed 64 bits) into one ordered key; also a prefix of longer keys."""
    out = b""
    for part in parts:
        if isinstance(part, str):
            text = part.encode()
            if 0 in text or 1 in text:
                text = text.replace(b"\x01", b"\x01\x02").replace(b"\x00", b"\x01\x01")
            out += b"\x02%b\x00" % text
        else:
            out += _pack_integer(_INTEGER, part + _INTEGER_BIAS)
    return out


def unpack(key: bytes) -> tuple[Part, ...]:
    """Decode a key made by :func:`pack`. Raises :class:`InvariantError` on bytes that it never makes."""
    parts: list[Part] = []
    at = 0
    while at < len(key):
        tag = key[at]
        at += 1
        if tag == _INTEGER:
            parts.append(int.from_bytes(key[at : at + _INTEGER_BYTES], "big") - _INTEGER_BIAS)
            at += _INTEGER_BYTES
        elif tag == _STRING:
            end = _string_end(key, at)
            parts.append(key[at:end].replace(b"\x01\x01", b"\x00").replace(b"\x01\x02", b"\x01").decode())
            at = end + 1
        else:
            raise InvariantError(f"key {key.hex()} has an unknown tag {tag} at byte {at - 1}")
    return tuple(parts)


def _string_end(key: bytes, start: int) -> int:
    at = key.find(b"\x00", start)
    if at < 0:
        raise InvariantError(f"key {key.hex()} has a string without an end")
    return at
