"""Dead letters against the records that they are made of: same key, value and headers, byte for byte (I12).

What must stay true: of each letter only digests are kept, and a letter names its record by the last headers of each
name, since a replayed letter keeps its older ones.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from bostream.audit.findings import Findings, Kind, Place
from bostream.audit.source import RawHeaders, Span, StoredRecord, place_of
from bostream.contract.deadletter import CONNECT_PREFIX, REASON_HEADER

_ADDED: Final = frozenset(
    {
        *(CONNECT_PREFIX + name for name in ("topic", "partition", "offset", "stage")),
        *(CONNECT_PREFIX + name for name in ("exception.class.name", "exception.message")),
        REASON_HEADER,
    }
)
_PARTS: Final = ("key", "value", "headers")
_encode = msgspec.msgpack.Encoder().encode


class Letter(NamedTuple):
    """What is remembered of one letter: where it stands, and digests of key, value and headers of its record."""

    place: Place
    digests: tuple[bytes, ...]


class Letters:
    """All dead letters of one topic, by the place of the record that they are made of.

    Args:
        topic: the records' topic.
        findings: added to.
        is_whole: no letter is gone; else a record without one may have had one.
    """

    def __init__(self, topic: str, findings: Findings, *, is_whole: bool) -> None:
        self.topic = topic
        self.is_whole = is_whole
        self._findings = findings
        self._by_place: dict[tuple[int, int], list[Letter]] = {}

    def add(self, record: StoredRecord) -> None:
        """Take in one record of the dead-letter topic."""
        kept, added = record.headers[: -len(_ADDED)], record.headers[-len(_ADDED) :]
        named = dict(added)
        try:
            topic = (named[CONNECT_PREFIX + "topic"] or b"").decode()
            place = (int(named[CONNECT_PREFIX + "partition"] or b""), int(named[CONNECT_PREFIX + "offset"] or b""))
            is_ours = named.keys() == _ADDED and topic == self.topic
        except (KeyError, ValueError):
            is_ours, place = False, (-1, -1)
        if not is_ours:
            self._findings.add(
                Kind.DEAD_LETTER_UNEXPECTED,
                place_of(record),
                "a dead letter",
                expected=f"headers that end in where in {self.topic} its record stands, and why it was refused",
                actual="other headers",
            )
            return
        letter = Letter(place_of(record), digests_of(record.key, record.value, kept))
        self._by_place.setdefault(place, []).append(letter)
        self._findings.compared[f"dead letters of {self.topic}"] += 1

    def claim(self, record: StoredRecord) -> bool:
        """Compare the letters of a record with it, if it has any; tell whether it has. To be asked once a record."""
        letters = self._by_place.pop((record.partition, record.offset), None)
        if letters is None:
            return False
        for again in letters[1:]:
            self._findings.add(
                Kind.DEAD_LETTER_REPEATED,
                again.place,
                f"the record {place_of(record)}",
                expected=f"one dead letter, {letters[0].place}",
                actual="once more",
            )
        digests = digests_of(record.key, record.value, record.headers)
        for letter in letters:
            wrong = [name for name, one, other in zip(_PARTS, digests, letter.digests, strict=True) if one != other]
            if wrong:
                self._findings.add(
                    Kind.DEAD_LETTER_CHANGED,
                    letter.place,
                    f"the record {place_of(record)}",
                    expected="the bytes of the record",
                    actual=f"another {' and another '.join(wrong)}",
                )
        return True

    def finish(self, spans: Mapping[int, Span]) -> None:
        """Report letters about records that do not exist; what retention removed, or was written since, did exist."""
        for (partition, offset), letters in self._by_place.items():
            span = spans.get(partition)
            if span is None or span.start <= offset < span.end or (offset >= span.end and span.is_settled):
                for letter in letters:
                    self._findings.add(
                        Kind.DEAD_LETTER_UNEXPECTED,
                        letter.place,
                        f"the record {Place(self.topic, partition, offset)}",
                        expected="no letter, since there is no such record",
                        actual="a letter",
                    )


def digests_of(key: bytes | None, value: bytes | None, headers: RawHeaders) -> tuple[bytes, ...]:
    """Return digests of the three parts of a record."""
    return tuple(blake2b(_encode(part), digest_size=16).digest() for part in (key, value, headers))
