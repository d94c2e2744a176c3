"""Event ids: unique over everything that was published (I9), and made of the log position that caused them.

What must stay true: an id is accepted only if the contract's function makes it of a position in the log that caused it.
"""

from typing import Final

from bostream.audit.findings import Findings, Kind
from bostream.audit.source import StoredRecord, place_of
from bostream.contract.identity import event_id

ORDINALS_MAX: Final = 65_536
"""How far behind its earliest possible ordinal an effect is looked for: notices of timers count in between."""

ORDINALS_HURRIED_MAX: Final = 64
"""The same once many ids were wrong: the verdict is known by then, and each miss costs 100 ms."""

MISSES_PATIENT_MAX: Final = 100
"""How many wrong ids are looked for to the end."""

_ID_HEADER: Final = "ce_id"


class Identities:
    """Remembers every id by 64 of its bits: two of 10 million ids share them by chance once in 370,000 audits."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._seen: set[int] = set()

    def add(self, record: StoredRecord, identity: str, subject: str) -> None:
        """Take in the id of a published record."""
        short = hash_of(identity)
        if short in self._seen:
            self._findings.add(
                Kind.EVENT_ID_REPEATED, place_of(record), subject, expected="an id of its own", actual=identity
            )
        self._seen.add(short)
        self._findings.compared["event ids"] += 1


def hash_of(identity: str) -> int:
    """Return 64 bits of a UUID's text; of any other text, some hash."""
    try:
        return int(identity[19:].replace("-", ""), 16) ^ int(identity[:8], 16)
    except ValueError:
        return hash(identity)


def header_id(record: StoredRecord) -> str | None:
    """Return the id in a published record's headers."""
    for name, value in record.headers:
        if name == _ID_HEADER:
            return (value or b"").decode("ascii", errors="replace")
    return None


class Positions:
    """Tells whether ids are made of log positions of one topic.

    Args:
        topic: full name of the log.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._misses = 0

    def makes(self, identity: str, partition: int, offset: int, earliest: int) -> bool:
        """Whether the record at this position makes this id with an ordinal from ``earliest`` on."""
        width = ORDINALS_MAX if self._misses < MISSES_PATIENT_MAX else ORDINALS_HURRIED_MAX
        for ordinal in range(earliest, earliest + width):
            if event_id(self.topic, partition, offset, ordinal) == identity:
                return True
        self._misses += 1
        return False
