"""The first bytes of a value: which format it is in and which schema wrote it.

What must stay true: the three formats are told apart by their first bytes alone, so that the systems upstream can move
from one to another one at a time.
"""

from enum import Enum, auto
from typing import Final

from bostream.contract.reasons import BadRecord
from bostream.contract.schemas import FINGERPRINT_BYTES
from bostream.errors import BadRecordError

CONFLUENT_MAGIC: Final = b"\x00"
SINGLE_OBJECT_MAGIC: Final = b"\xc3\x01"
SCHEMA_ID_BYTES: Final = 4
SCHEMA_ID_MAX: Final = 2**32 - 1
CONFLUENT_HEADER_BYTES: Final = len(CONFLUENT_MAGIC) + SCHEMA_ID_BYTES
SINGLE_OBJECT_HEADER_BYTES: Final = len(SINGLE_OBJECT_MAGIC) + FINGERPRINT_BYTES
_BLANKS: Final = b" \t\r\n"


class WireFormat(Enum):
    """How a value is written."""

    SINGLE_OBJECT = auto()
    CONFLUENT = auto()
    JSON = auto()


def detect(value: bytes) -> WireFormat:
    """Return the format of a value.

    Raises:
        BadRecordError: the first bytes belong to none.
    """
    if value.startswith(SINGLE_OBJECT_MAGIC):
        return WireFormat.SINGLE_OBJECT
    if value.startswith(CONFLUENT_MAGIC):
        return WireFormat.CONFLUENT
    if value.lstrip(_BLANKS).startswith(b"{"):
        return WireFormat.JSON
    raise BadRecordError(BadRecord.UNDECODABLE, "the first bytes are neither Avro framing nor a JSON object")


def fingerprint_of(value: bytes) -> bytes:
    """Return the fingerprint (little endian) that a single-object header carries."""
    if len(value) < SINGLE_OBJECT_HEADER_BYTES:
        raise BadRecordError(BadRecord.UNDECODABLE, "the single-object header is cut short")
    return value[len(SINGLE_OBJECT_MAGIC) : SINGLE_OBJECT_HEADER_BYTES]


def schema_id_of(value: bytes) -> int:
    """Return the schema id that a Confluent header carries."""
    if len(value) < CONFLUENT_HEADER_BYTES:
        raise BadRecordError(BadRecord.UNDECODABLE, "the Confluent header is cut short")
    return int.from_bytes(value[len(CONFLUENT_MAGIC) : CONFLUENT_HEADER_BYTES], "big")


def single_object_header(fingerprint: bytes) -> bytes:
    """Return the header of a value written with the schema of this fingerprint (little endian)."""
    return SINGLE_OBJECT_MAGIC + fingerprint


def confluent_header(schema_id: int) -> bytes:
    """Return the header of a value written with the schema of this registry id."""
    if not 0 <= schema_id <= SCHEMA_ID_MAX:
        raise ValueError(f"schema id {schema_id} does not fit into {SCHEMA_ID_BYTES} bytes")
    return CONFLUENT_MAGIC + schema_id.to_bytes(SCHEMA_ID_BYTES, "big")
