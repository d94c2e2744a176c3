"""Changelogs: each commit record follows the one before it, the state is well formed, and the group agrees.

What must stay true: a broken chain is told once where it breaks and the walk goes on behind it. The functions of the
chain are handed in, since the engine that owns them stands above this package.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from bostream.audit.findings import Findings, Kind, Place
from bostream.audit.source import Span, StoredRecord, place_of
from bostream.domain.keys import unpack
from bostream.domain.state import TableSpec
from bostream.errors import ChainBrokenError, InvariantError

_MARKER: Final = 1
"""Offsets that the end of a transaction takes."""


class Link(Protocol):
    """The end of a chain, as far as it is compared."""

    @property
    def sequence(self) -> int:
        """Number of the commit record."""

    @property
    def log_offset(self) -> int:
        """Offset of the next record of the log."""

    @property
    def log_time(self) -> int:
        """Log time up to there (µs)."""


AnyLink = TypeVar("AnyLink", bound=Link)


class Follow(Protocol[AnyLink]):
    """Checks that a commit record follows a link; see ``bostream.engine.chain.follow``."""

    def __call__(self, link: AnyLink | None, value: bytes, *, records_seen: int, is_whole: bool) -> AnyLink:
        """Return the new end of the chain. Raises ChainBrokenError."""


class Commits(Generic[AnyLink]):
    """One changelog partition.

    Args:
        log: the log partition whose records build the state.
        log_span: its audited part, with what the group committed.
        changelog: the changelog partition's topic and number.
        first_offset: where reading begins.
        tables: what the rows of the state are, by table number.
        is_commit_key: tells a commit record from a row.
        follow: checks the chain.
        findings: added to.
    """

    def __init__(
        self,
        log: Place,
        log_span: Span,
        changelog: Place,
        *,
        first_offset: int,
        tables: Mapping[int, TableSpec[Any]],
        is_commit_key: Callable[[bytes], bool],
        follow: Follow[AnyLink],
        findings: Findings,
    ) -> None:
        self._log = log
        self._span = log_span
        self._changelog = changelog
        self._decoders = {number: msgspec.msgpack.Decoder(spec.value) for number, spec in tables.items()}
        self._is_commit_key = is_commit_key
        self._follow = follow
        self._findings = findings
        self._link: AnyLink | None = None
        self._at_cut: AnyLink | None = None
        self._first_link: AnyLink | None = None
        self._rows = 0
        self._group_first = -1
        self._expected_first = first_offset

    def add(self, record: StoredRecord) -> None:
        """Take in one record of the changelog, in offset order."""
        key = record.key or b""
        if self._group_first < 0:
            self._group_first = record.offset
        if self._is_commit_key(key):
            self._end_group(record)
        else:
            self._rows += 1
            self._check_row(key, record)

    def _end_group(self, record: StoredRecord) -> None:
        is_whole = self._group_first == self._expected_first and record.offset - self._group_first == self._rows
        value = record.value or b""
        try:
            link: AnyLink | None = self._follow(self._link, value, records_seen=self._rows, is_whole=is_whole)
        except ChainBrokenError as error:
            self._findings.add(
                Kind.CHAIN_BROKEN,
                place_of(record),
                f"the state of {self._log}",
                expected="an unbroken chain",
                actual=error,
            )
            link = self._start_anew(value)
        self._findings.compared["commit records"] += 1
        self._link = link
        self._first_link = self._first_link or link
        if link is not None and link.log_offset == self._span.processed:
            self._at_cut = link
        self._rows = 0
        self._group_first = -1
        self._expected_first = record.offset + 1 + _MARKER

    def _start_anew(self, value: bytes) -> AnyLink | None:
        try:
            return self._follow(None, value, records_seen=0, is_whole=False)
        except ChainBrokenError:
            return None

    def _check_row(self, key: bytes, record: StoredRecord) -> None:
        self._findings.compared["rows of state"] += 1
        try:
            decoder = self._decoders[key[0]]
            unpack(key[1:])
            if record.value is not None:
                decoder.decode(record.value)
        except (KeyError, IndexError, InvariantError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._findings.add(
                Kind.STATE_MALFORMED,
                place_of(record),
                f"the state of {self._log}",
                expected="a row of a known table",
                actual=f"{type(error).__name__}: {error}",
            )

    def finish(self, log_time: int | None) -> None:
        """Compare with the group.

        Args:
            log_time: of the log at the committed offset (µs); None when the log has lost its beginning.
        """
        if self._rows and self._span.is_settled:
            self._findings.add(
                Kind.CHAIN_BROKEN,
                self._changelog,
                f"the state of {self._log}",
                expected="a commit record after every row",
                actual=f"{self._rows} rows at the end without one",
            )
        committed = self._span.committed
        link = self._link if self._span.is_settled else self._at_cut
        reached = None if link is None else link.log_offset
        if self._first_link is not None and committed is not None and self._first_link.log_offset > committed:
            self._findings.limit(f"the commits of {self._log} up to its committed offset were compacted away meanwhile")
        elif reached != committed:
            self._findings.add(
                Kind.OFFSET_WRONG,
                self._changelog,
                f"the state of {self._log}",
                expected=f"a commit at the group's committed offset {committed}",
                actual=f"{reached}",
            )
        elif link is not None and log_time is not None and link.log_time != log_time:
            self._findings.add(
                Kind.OFFSET_WRONG,
                self._changelog,
                f"the state of {self._log}",
                expected=f"log time {log_time} at offset {committed}",
                actual=f"{link.log_time}",
            )
        if self._first_link is not None and self._first_link.sequence > 1:
            self._findings.limit(
                f"{self._changelog} was compacted: its chain was walked from commit {self._first_link.sequence} on"
            )
