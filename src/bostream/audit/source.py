"""Where an audit reads: records as they stand in Kafka, and the cut through a system that may still be running.

What must stay true: the cut is taken in this order, so that whatever was published by its first step can be explained
by what is read up to its later ones:

1. what the group has committed of every input and internal log;
2. the ends of everything that workers publish: outputs, changelogs, and the documents log as far as it is an output;
3. the end of the SKUs log; 4. the end of the documents log; 5. the ends of the dead letters, then of the inputs;
6. every transaction with a record before the ends of steps 2 to 4 has ended;
7. once more what the group has committed: a partition where that is the same as in step 1 is *settled*.

Ends are those for everybody (READ_UNCOMMITTED), since a transaction whose offsets are committed already may lack its
marker elsewhere. Without step 6 one could commit after step 7 what stands before an end of step 2.

What follows from records before the committed offset must have been published. What follows from later ones may have
been, unless the partition is settled: then it must not.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

import msgspec

from bostream.audit.findings import Place

RawHeaders = tuple[tuple[str, bytes | None], ...]


class StoredRecord(Protocol):
    """A record as read from a topic; ``timestamp`` in µs."""

    @property
    def topic(self) -> str:
        """Full name of the topic."""

    @property
    def partition(self) -> int:
        """Number of the partition."""

    @property
    def offset(self) -> int:
        """Offset in the partition."""

    @property
    def timestamp(self) -> int:
        """µs since the epoch, UTC."""

    @property
    def key(self) -> bytes | None:
        """Key as read."""

    @property
    def value(self) -> bytes | None:
        """Value as read."""

    @property
    def headers(self) -> RawHeaders:
        """Headers as read."""


class Span(msgspec.Struct, frozen=True):
    """The part of one partition that is audited.

    Attributes:
        start: the first offset that still exists.
        end: where reading ends.
        early_end: where the partition ended at step 2 of the cut; differs from ``end`` for the documents log only.
        committed: what the group had committed at step 1; None: nothing, or the group does not read this topic.
        is_settled: it had committed the same at step 7.
    """

    start: int
    end: int
    early_end: int
    committed: int | None = None
    is_settled: bool = True

    @property
    def processed(self) -> int:
        """The offset before which everything was processed at the cut."""
        return self.start if self.committed is None else self.committed

    @property
    def replayed(self) -> int:
        """The offset before which records may have had effects by the time that outputs were read."""
        return self.processed if self.is_settled else self.end


class Source(Protocol):
    """The topics of one application on one cluster, at one cut."""

    def spans(self, topic: str) -> Mapping[int, Span]:
        """Return the audited part of each partition; empty when the topic does not exist."""

    def read(self, topic: str) -> Iterator[StoredRecord]:
        """Yield the committed records of all spans of a topic, in offset order within each partition."""


def place_of(record: StoredRecord) -> Place:
    """Return where a record stands."""
    return Place(record.topic, record.partition, record.offset)
