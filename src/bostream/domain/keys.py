"""Order-preserving keys: comparing two packed keys as bytes is comparing their parts in turn.

What must stay true: ``pack(a) < pack(b)`` exactly when ``a < b`` part by part, for tuples of the same shape, and
``unpack(pack(*parts)) == parts``. Strings compare as UTF-8 bytes (which is code point order), integers by value.
The scheme is the tuple layer's idea: strings end in ``00`` with inner zeros escaped, integers have a fixed width.
"""

from bostream.errors import InvariantError

Part = str | int

_STRING = 0x02
_INTEGER = 0x03
_INTEGER_BIAS = 1 << 63
_INTEGER_BYTES = 8


def pack(*parts: Part) -> bytes:
    """Encode parts (strings, or integers in signed 64 bits) into one ordered key; also a prefix of longer keys."""
    out = bytearray()
    for part in parts:
        if isinstance(part, str):
            out.append(_STRING)
            text = part.encode()
            out += text.replace(b"\x00", b"\x00\xff") if b"\x00" in text else text
            out.append(0)
        else:
            out.append(_INTEGER)
            out += (part + _INTEGER_BIAS).to_bytes(_INTEGER_BYTES, "big")
    return bytes(out)


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
            parts.append(key[at:end].replace(b"\x00\xff", b"\x00").decode())
            at = end + 1
        else:
            raise InvariantError(f"key {key.hex()} has an unknown tag {tag} at byte {at - 1}")
    return tuple(parts)


def _string_end(key: bytes, start: int) -> int:
    at = key.find(b"\x00", start)
    while at >= 0 and key[at + 1 : at + 2] == b"\xff":
        at = key.find(b"\x00", at + 2)
    if at < 0:
        raise InvariantError(f"key {key.hex()} has a string without an end")
    return at
