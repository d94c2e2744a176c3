"""Bringing a local store up to its changelog, in slices, before its partition runs.

The order at takeover matters (the numbers are those of the failure table in docs/ARCHITECTURE.md):

1. the group's committed offset, stable: waits until a dead owner's pending transaction has ended;
2. the changelog's end, READ_UNCOMMITTED: the last stable offset may lie behind an orphan transaction;
3. the local store's own record of where it stands;
4. replay, read committed, until the *position* is at that end (markers and gaps make
   "the last message" the wrong test);
5. only then does the partition run.

What must stay true: a store is written only in whole transactions, each checked against the commit chain. A doubt about
a store that was resumed is settled by the log alone (wipe, read it from its start); a doubt about the log itself stops.
"""

import msgspec

from bostream.engine import chain
from bostream.engine.ports import LogRange, LogReader, Partition, Record, Store, StoreFactory
from bostream.errors import ChainBrokenError, ConfigurationError, CorruptStateError


class Restored(msgspec.Struct, frozen=True):
    """A store that is where its changelog ends."""

    log: Partition
    store: Store
    link: chain.Link | None
    position: int


class Restoration:
    """The replay of one changelog partition into one store."""

    def __init__(
        self, log: Partition, changelog: Partition, *, committed: int | None, changelog_range: LogRange
    ) -> None:
        self.log = log
        self.changelog = changelog
        self._committed = committed
        self._range = changelog_range
        self._store: Store | None = None
        self._link: chain.Link | None = None
        self._is_resumed = False
        self._group: list[tuple[bytes, bytes | None]] = []
        self._group_first_offset = -1
        self._expected_first_offset = -1
        self._complete: list[tuple[bytes, bytes | None]] = []

    @property
    def target(self) -> int:
        """Offset in the changelog up to which it must be read."""
        return self._range.end

    def open(self, stores: StoreFactory) -> int:
        """Step 3: open the store, or make it anew where it cannot be trusted; return the offset to read from."""
        try:
            self._store = stores.open(self.changelog)
            meta_bytes = self._store.get(chain.META_KEY)
            meta = None if meta_bytes is None else chain.decode_meta(meta_bytes)
        except CorruptStateError:
            return self.start_over(stores)
        if meta is None:
            return self.start_over(stores)
        if meta.changelog_offset > self._range.end:
            if self._committed:
                raise ConfigurationError(
                    f"{self.changelog}: the local store is at offset {meta.changelog_offset}, but the topic ends at "
                    f"{self._range.end} while the group has committed {self._committed} of {self.log}: the changelog "
                    "was deleted, recreated or truncated. Restore it, or take a new app name; nothing was changed."
                )
            return self.start_over(stores)
        if meta.changelog_offset < self._range.start:
            return self.start_over(stores)
        self._link = meta.link
        self._is_resumed = True
        # the commit record's own transaction marker stands at this offset
        self._expected_first_offset = meta.changelog_offset + 1
        return meta.changelog_offset

    def start_over(self, stores: StoreFactory) -> int:
        """Wipe the store; return the offset to read from: the start of the changelog."""
        self.close()
        stores.wipe(self.changelog)
        self._store = stores.open(self.changelog)
        self._link = None
        self._is_resumed = False
        self._group = []
        self._complete = []
        self._expected_first_offset = self._range.start
        return self._range.start

    def feed(self, records: list[Record]) -> None:
        """Step 4: take records of the changelog, in order; whole transactions go to the store.

        Raises:
            CorruptStateError: the resumed store and the log do not fit together: :meth:`start_over`.
            ChainBrokenError: the log itself is broken.
        """
        for record in records:
            key = record.key or b""
            if not self._group and self._group_first_offset < 0:
                self._group_first_offset = record.offset
            if chain.is_commit_key(key):
                self._end_group(record)
            else:
                self._group.append((key, record.value))
        self._write()

    def _end_group(self, record: Record) -> None:
        seen = len(self._group)
        is_whole = (
            self._group_first_offset == self._expected_first_offset and record.offset - self._group_first_offset == seen
        )
        value = record.value or b""
        try:
            self._link = chain.follow(self._link, value, records_seen=seen, is_whole=is_whole)
            if self._is_resumed and not chain.has_all_records(value, seen):
                raise CorruptStateError(f"{self.changelog}: compacted since the local store was written")
        except ChainBrokenError as error:
            message = f"{self.changelog} offset {record.offset}: {error}"
            if self._is_resumed:
                raise CorruptStateError(message) from error
            raise ChainBrokenError(message) from error
        self._complete.extend(self._group)
        self._complete.append((chain.META_KEY, chain.encode_meta(record.offset + 1, self._link)))
        self._group = []
        self._group_first_offset = -1
        self._expected_first_offset = record.offset + 2

    def _write(self) -> None:
        if self._complete and self._store is not None:
            last_values = dict(self._complete)
            self._store.write(list(last_values.items()))
            self._complete = []

    def finish(self, log_start: int) -> Restored:
        """Step 5: check that state and group agree on where the log stands, and hand the store over.

        Args:
            log_start: first offset that exists in the log, where a new group begins.
        """
        if self._group:
            raise ChainBrokenError(f"{self.changelog}: {len(self._group)} records at its end have no commit record")
        if self._store is None:
            raise ConfigurationError(f"{self.changelog}: restored without a store")
        state_at = self._link.log_offset if self._link else None
        if state_at != self._committed:
            raise ChainBrokenError(
                f"{self.log}: the group has committed offset {self._committed}, but the state was built up to offset "
                f"{state_at}. Offsets were reset, or the changelog lost records; neither can be guessed."
            )
        position = log_start if self._committed is None else self._committed
        return Restored(self.log, self._store, self._link, position)

    def close(self) -> None:
        """Close the store, if any; the partition leaves or starts over."""
        if self._store is not None:
            self._store.close()
            self._store = None


class Restorer:
    """Replays several changelog partitions through one reader, a slice at a time."""

    def __init__(self, reader: LogReader, stores: StoreFactory, slice_records_max: int) -> None:
        self._reader = reader
        self._stores = stores
        self._slice_records_max = slice_records_max
        self._running: dict[Partition, Restoration] = {}
        self._log_starts: dict[Partition, int] = {}
        self._doubts: dict[Partition, ChainBrokenError] = {}
        self.wipes = 0

    @property
    def is_busy(self) -> bool:
        """Something is being restored."""
        return bool(self._running)

    def add(self, restoration: Restoration, log_start: int) -> None:
        """Begin to restore a partition."""
        self._log_starts[restoration.changelog] = log_start
        self._reader.open(restoration.changelog, restoration.open(self._stores))
        self._running[restoration.changelog] = restoration

    def drop(self, changelog: Partition) -> None:
        """The partition leaves while it is being restored."""
        restoration = self._running.pop(changelog, None)
        self._log_starts.pop(changelog, None)
        if restoration is not None:
            self._reader.close(changelog)
            restoration.close()

    def wipe(self, changelog: Partition) -> None:
        """Remove a store that cannot be trusted; it must be closed."""
        self.wipes += 1
        self._stores.wipe(changelog)

    def step(self, timeout_s: float) -> list[Restored]:
        """Replay one slice; return what is done."""
        if not self._running:
            return []
        by_partition: dict[Partition, list[Record]] = {}
        for record in self._reader.read(self._slice_records_max, timeout_s):
            by_partition.setdefault(record.source, []).append(record)
        for partition, records in by_partition.items():
            if partition in self._running:
                self._feed(self._running[partition], records)
        done = [restoration for restoration in self._running.values() if self._is_done(restoration)]
        return [restored for restoration in done if (restored := self._done(restoration)) is not None]

    def take_doubts(self) -> dict[Partition, ChainBrokenError]:
        """Return which logs were given up since the last call, and why; their stores are closed."""
        doubts, self._doubts = self._doubts, {}
        return doubts

    def _feed(self, restoration: Restoration, records: list[Record]) -> None:
        try:
            restoration.feed(records)
        except CorruptStateError:
            self.wipes += 1
            self._reader.close(restoration.changelog)
            self._reader.open(restoration.changelog, restoration.start_over(self._stores))
        except ChainBrokenError as error:
            self._give_up(restoration, error)

    def _is_done(self, restoration: Restoration) -> bool:
        return self._reader.position(restoration.changelog) >= restoration.target

    def _done(self, restoration: Restoration) -> Restored | None:
        try:
            restored = restoration.finish(self._log_starts[restoration.changelog])
        except ChainBrokenError as error:
            self._give_up(restoration, error)
            return None
        del self._running[restoration.changelog]
        del self._log_starts[restoration.changelog]
        self._reader.close(restoration.changelog)
        return restored

    def _give_up(self, restoration: Restoration, error: ChainBrokenError) -> None:
        self._doubts[restoration.log] = error
        self.drop(restoration.changelog)

    def shut(self) -> None:
        """Give everything up."""
        for changelog in list(self._running):
            self.drop(changelog)
        self._reader.shut()
