"""Each input record left exactly one record behind: an internal one or a dead letter (I12).

What must stay true: records are matched by all that they say, as often as they occur; of each input record only a
digest and its place are kept.
"""

from typing import Final

from bostream.audit.expected_events import IntakeEvent, digest_of, expected_event
from bostream.audit.findings import Findings, Kind, Place
from bostream.audit.letters import Letters
from bostream.audit.source import StoredRecord, place_of
from bostream.contract.codec import InputReader
from bostream.errors import BadRecordError

_OPTIONAL: Final = 1
_MET: Final = 2
_FLAG_BITS: Final = 2
_OFFSET_BITS: Final = 48
_PARTITION_BITS: Final = 16


class Intake:
    """All input topics of an application.

    Args:
        topics: full names of the input topics, with the names without prefix.
        findings: added to.
    """

    def __init__(self, topics: dict[str, str], findings: Findings) -> None:
        self._names = topics
        self._topics = list(topics)
        self._findings = findings
        # Place and flags in one integer: there may be millions of them.
        self._owed: dict[bytes, int] = {}
        self._owed_again: dict[bytes, list[int]] = {}
        self._unsure: set[str] = set()

    def add_input(self, record: StoredRecord, letters: Letters, reader: InputReader, *, is_past_cut: bool) -> None:
        """Take in one input record; all letters of its topic must be known.

        Args:
            record: of an input topic.
            letters: of that topic.
            reader: of that topic.
            is_past_cut: nothing needs to have come of it yet.
        """
        if letters.claim(record):
            return
        if not letters.is_whole:
            self._unsure.add(record.topic)
        try:
            public = reader.read(record.key, record.value)
            event = expected_event(self._names[record.topic], public, record.timestamp)
        except BadRecordError as error:
            if not is_past_cut:
                self._lost(place_of(record), f"a dead letter: {error.reason}")
            return
        if not is_past_cut:
            self._findings.compared[f"records of {record.topic}"] += 1
        if event is None:
            if not is_past_cut:
                self._lost(place_of(record), "a dead letter: no log has events of this kind")
            return
        self._owe(digest_of(event), self._pack(record) | (_OPTIONAL if is_past_cut else 0))

    def _owe(self, digest: bytes, packed: int) -> None:
        if digest in self._owed:
            self._owed_again.setdefault(digest, []).append(packed)
        else:
            self._owed[digest] = packed

    def _pack(self, record: StoredRecord) -> int:
        number = self._topics.index(record.topic) << _PARTITION_BITS | record.partition
        return (number << _OFFSET_BITS | record.offset) << _FLAG_BITS

    def _unpack(self, packed: int) -> Place:
        number, offset = divmod(packed >> _FLAG_BITS, 1 << _OFFSET_BITS)
        topic, partition = divmod(number, 1 << _PARTITION_BITS)
        return Place(self._topics[topic], partition, offset)

    def add_internal(self, record: StoredRecord, event: IntakeEvent, *, is_input_whole: bool) -> None:
        """Take in one internal record that came from the intake; all inputs must be known.

        Args:
            record: of an internal log.
            event: what it says.
            is_input_whole: its input topic has its beginning; else the input may be gone by now.
        """
        digest = digest_of(event)
        packed = self._owed.get(digest)
        subject = f"{event.cause.type} {event.cause.event_id}"
        if packed is None:
            if is_input_whole:
                self._findings.add(
                    Kind.INTERNAL_UNEXPECTED,
                    place_of(record),
                    subject,
                    expected="an input record that says the same",
                    actual="none, or one that has a dead letter",
                )
            else:
                self._findings.compared["internal records whose input is gone"] += 1
            return
        if not packed & _MET:
            self._owed[digest] = packed | _MET
        elif again := self._owed_again.get(digest):
            again.pop()
        else:
            self._findings.add(
                Kind.INTERNAL_REPEATED,
                place_of(record),
                subject,
                expected=f"one internal record of {self._unpack(packed)}",
                actual="once more",
            )

    def finish(self) -> None:
        """Report what is owed to the end."""
        for packed in self._owed.values():
            if not packed & (_MET | _OPTIONAL):
                self._lost(self._unpack(packed), "an internal record that says the same, or a dead letter")
        for again in self._owed_again.values():
            for packed in again:
                if not packed & _OPTIONAL:
                    self._lost(self._unpack(packed), "an internal record of its own, or a dead letter")
        self._owed.clear()
        self._owed_again.clear()

    def _lost(self, place: Place, expected: str) -> None:
        if place.topic in self._unsure:
            self._findings.compared["records whose dead letter may be gone"] += 1
            return
        self._findings.add(Kind.INPUT_LOST, place, f"the record {place}", expected=expected, actual="nothing")
