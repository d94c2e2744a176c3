"""Bounds on what a record may hold.

What must stay true: every list, text, number and nesting that an outsider chooses has an upper bound with a name here,
so that no record can exhaust memory or overflow a 64-bit total later on. The bounds are part of the public contract.
"""

from typing import Final

LONG_MIN: Final = -(2**63)
LONG_MAX: Final = 2**63 - 1

TIME_MIN: Final = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z in µs: the earliest moment that RFC 3339 can write."""

TIME_MAX: Final = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z in µs: the latest; also refuses nanoseconds taken for microseconds."""

QUANTITY_MAX: Final = 10**12
"""Units in one record: totals stay inside 64 bits for nine million records of this size."""

ID_CHARACTERS_MAX: Final = 255
"""Ids travel in every key and record that follows from the input."""

TEXT_CHARACTERS_MAX: Final = 4_096
"""Free text for people."""

LINES_MAX: Final = 10_000
"""Lines of one order or notice."""

NAMES_MAX: Final = 100
"""Locations of an order; tiers and channels of a policy."""

PRIORITY_MAX: Final = 9

WAIT_DAYS_MAX: Final = 36_500
"""A hundred years: due times stay inside 64 bits."""

HOLD_HOURS_MAX: Final = 24 * WAIT_DAYS_MAX

VALUE_BYTES_MAX: Final = 1_048_576
"""Bytes of one input value, unless configured otherwise."""

JSON_DEPTH_MAX: Final = 64
"""Nesting of one JSON value; the deepest record has 3, the rest is room for unknown fields."""

COMPILED_SCHEMAS_MAX: Final = 1_000
"""Writer schemas that a reader keeps ready; beyond that it compiles again."""
