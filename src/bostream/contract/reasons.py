"""Why a record is bad: the codes of ``bostream.dlq.reason``, as documented in ``docs/CONTRACT.md``."""

from enum import StrEnum


class BadRecord(StrEnum):
    """One code per thing that a producer can do wrong."""

    NULL_VALUE = "NULL_VALUE"
    TOO_LARGE = "TOO_LARGE"
    UNDECODABLE = "UNDECODABLE"
    TRAILING_BYTES = "TRAILING_BYTES"
    UNKNOWN_SCHEMA = "UNKNOWN_SCHEMA"
    INCOMPATIBLE_SCHEMA = "INCOMPATIBLE_SCHEMA"
    TOO_DEEP = "TOO_DEEP"
    MISSING_FIELD = "MISSING_FIELD"
    WRONG_TYPE = "WRONG_TYPE"
    UNKNOWN_ENUM = "UNKNOWN_ENUM"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    EMPTY_ID = "EMPTY_ID"
    TOO_LONG = "TOO_LONG"
    DUPLICATE_LINE = "DUPLICATE_LINE"
    KEY_MISSING = "KEY_MISSING"
    KEY_UNDECODABLE = "KEY_UNDECODABLE"
    KEY_MISMATCH = "KEY_MISMATCH"
