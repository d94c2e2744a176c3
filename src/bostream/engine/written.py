"""The keys that a batch has put, in order, for its scans.

What must stay true: ``put`` and ``drop`` cost constant time, since most writes are never scanned over; a scan sorts in
only what changed since the scan before it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from bostream.engine.ranges import scan_bounds

_REBUILD_FROM: Final = 64
_REBUILD_RATIO: Final = 4


class WrittenKeys:
    """A sorted set of keys. A plain list: moving its pointers for an insertion takes 1 µs per 10,000 keys behind it."""

    __slots__ = ("_changed", "_sorted")

    def __init__(self) -> None:
        self._sorted: list[bytes] = []
        self._changed: dict[bytes, bool] = {}

    def put(self, key: bytes) -> None:
        """The key has a value in this batch."""
        self._changed[key] = True

    def drop(self, key: bytes) -> None:
        """The key has no value any more."""
        self._changed[key] = False

    def ordered(self) -> Sequence[bytes]:
        """Return all keys in order; valid until the next change."""
        if self._changed:
            self._settle()
        return self._sorted

    def within(self, prefix: bytes, start: bytes | None, *, reverse: bool) -> Iterable[bytes]:
        """Return the keys of a scan, in its direction; finding the first takes O(log n)."""
        keys = self.ordered()
        if not keys:
            return ()
        low, high = scan_bounds(prefix, start, reverse=reverse)
        places = range(bisect_left(keys, low), len(keys) if high is None else bisect_left(keys, high))
        return map(keys.__getitem__, reversed(places) if reverse else places)

    def clear(self) -> None:
        """Forget everything."""
        self._sorted = []
        self._changed.clear()

    def _settle(self) -> None:
        changed = self._changed
        if len(changed) > _REBUILD_FROM and len(changed) * _REBUILD_RATIO > len(self._sorted):
            kept = [key for key in self._sorted if key not in changed]
            kept.extend(key for key, is_put in changed.items() if is_put)
            kept.sort()
            self._sorted = kept
        else:
            for key, is_put in changed.items():
                self._settle_one(key, is_put=is_put)
        changed.clear()

    def _settle_one(self, key: bytes, *, is_put: bool) -> None:
        keys = self._sorted
        at = bisect_left(keys, key)
        is_there = at < len(keys) and keys[at] == key
        if is_put and not is_there:
            keys.insert(at, key)
        elif is_there and not is_put:
            del keys[at]
