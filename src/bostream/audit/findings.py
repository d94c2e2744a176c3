"""What an audit found, in a form that people and scripts can read.

What must stay true: every difference is counted; how many are kept in full is bounded for each kind, so that a flood of
one kind hides no other; what could not be checked is said as a limitation and never counts as a success.
"""

from collections import Counter
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

FINDINGS_KEPT_MAX: Final = 50
"""Findings of one kind that are kept in full."""


class Kind(StrEnum):
    """What is wrong."""

    ALLOCATION_MISSING = "ALLOCATION_MISSING"
    ALLOCATION_DOUBLED = "ALLOCATION_DOUBLED"
    ALLOCATION_UNEXPECTED = "ALLOCATION_UNEXPECTED"
    ALLOCATION_WRONG = "ALLOCATION_WRONG"
    ALLOCATION_OUT_OF_ORDER = "ALLOCATION_OUT_OF_ORDER"
    EVENT_ID_WRONG = "EVENT_ID_WRONG"
    EVENT_ID_REPEATED = "EVENT_ID_REPEATED"
    STOCK_POSITION_WRONG = "STOCK_POSITION_WRONG"
    BACKORDER_LINE_WRONG = "BACKORDER_LINE_WRONG"
    LINE_REPORT_WRONG = "LINE_REPORT_WRONG"
    UNREADABLE = "UNREADABLE"
    INPUT_LOST = "INPUT_LOST"
    DEAD_LETTER_CHANGED = "DEAD_LETTER_CHANGED"
    DEAD_LETTER_REPEATED = "DEAD_LETTER_REPEATED"
    DEAD_LETTER_UNEXPECTED = "DEAD_LETTER_UNEXPECTED"
    INTERNAL_REPEATED = "INTERNAL_REPEATED"
    INTERNAL_UNEXPECTED = "INTERNAL_UNEXPECTED"
    INTERNAL_MISPLACED = "INTERNAL_MISPLACED"
    DEMAND_WRONG = "DEMAND_WRONG"
    CHAIN_BROKEN = "CHAIN_BROKEN"
    STATE_MALFORMED = "STATE_MALFORMED"
    OFFSET_WRONG = "OFFSET_WRONG"


class Place(NamedTuple):
    """Where a record stands; ``partition`` and ``offset`` are -1 where no record can be named."""

    topic: str
    partition: int = -1
    offset: int = -1

    def __str__(self) -> str:
        """Read as ``topic/partition/offset``, as far as known."""
        return "/".join([self.topic, *(str(number) for number in self[1:] if number >= 0)])


class Finding(msgspec.Struct, frozen=True):
    """One difference.

    Attributes:
        kind: what is wrong.
        topic, partition, offset: the record that shows it; -1 where none does (something is missing).
        subject: the SKU, order or line that it is about, in words.
        expected, actual: what must be there, and what is.
    """

    kind: Kind
    topic: str
    partition: int
    offset: int
    subject: str
    expected: str
    actual: str


class Findings:
    """Collects differences, counts of what was compared, and limitations.

    Attributes:
        counts: all differences by kind.
        kept: the first of each kind, in the order in which they were found.
        compared: how many of what were compared.
        limitations: sentences on what could not be checked.
    """

    def __init__(self, kept_max: int = FINDINGS_KEPT_MAX) -> None:
        self.counts: Counter[Kind] = Counter()
        self.kept: list[Finding] = []
        self.compared: Counter[str] = Counter()
        self.limitations: list[str] = []
        self._kept_max = kept_max

    @property
    def total(self) -> int:
        """All differences, kept or not."""
        return self.counts.total()

    def add(self, kind: Kind, place: Place, subject: str, *, expected: object, actual: object) -> None:
        """Count a difference, and keep it while there are few of its kind."""
        self.counts[kind] += 1
        if self.counts[kind] <= self._kept_max:
            self.kept.append(Finding(kind, *place, subject, str(expected), str(actual)))

    def limit(self, sentence: str) -> None:
        """Say once that something could not be checked."""
        if sentence not in self.limitations:
            self.limitations.append(sentence)
