"""Kafka's default partitioner, computed here: librdkafka's own default is another one.

What must stay true: the partition equals that of a Java producer with its default settings, so a record lands where any
other client would put it, and keys keep their order.
"""

from functools import lru_cache
from typing import Final

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_ROTATION: Final = 24
_WORD: Final = 0xFFFFFFFF
_WORD_BYTES: Final = 4
_POSITIVE: Final = 0x7FFFFFFF
_SIGN: Final = 0x80000000

KEYS_REMEMBERED_MAX: Final = 65_536
"""Keys whose partition is kept: hot SKUs come again and again."""


def murmur2(data: bytes) -> int:
    """Return the 32-bit murmur2 hash of the bytes as a signed integer, as Kafka's Java client does."""
    length = len(data)
    mixed = _SEED ^ length
    whole = length - length % _WORD_BYTES
    for start in range(0, whole, _WORD_BYTES):
        word = int.from_bytes(data[start : start + _WORD_BYTES], "little") * _MULTIPLIER & _WORD
        word ^= word >> _ROTATION
        mixed = (mixed * _MULTIPLIER ^ word * _MULTIPLIER) & _WORD
    if whole < length:
        mixed = (mixed ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _WORD
    mixed ^= mixed >> 13
    mixed = mixed * _MULTIPLIER & _WORD
    mixed ^= mixed >> 15
    return mixed - (mixed & _SIGN) * 2


@lru_cache(maxsize=KEYS_REMEMBERED_MAX)
def partition_for(key: bytes, partitions: int) -> int:
    """Return the partition of this key, 0 <= result < partitions."""
    return (murmur2(key) & _POSITIVE) % partitions
