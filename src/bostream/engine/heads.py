"""Where the visible rows of a scanned prefix begin in the store, remembered between scans.

A queue is served at its head, so the rows before the head are always the ones just deleted: by this batch (the store
still has them) or by earlier ones (the store keeps a tombstone for each until it compacts; 10,000 of them make a scan
for one row take milliseconds). A scan that begins at the remembered row passes none of them.

What must stay true: every stored row of a prefix before its remembered head is hidden by the batch or gone. It holds
because within a batch rows only become hidden, because :meth:`Heads.admit` hears of every row that a batch stored, and
because a dropped batch forgets all heads.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from bostream.engine.ranges import scan_bounds

HEADS_MAX: Final = 256
"""Prefixes remembered per table, the most recently scanned ones. Bounds what a commit has to look through."""


class Nothing:
    """The head of a prefix of which the store shows no row."""


NOTHING: Final = Nothing()
Head = bytes | Nothing


class Heads:
    """The heads of one table, by prefix and direction."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: OrderedDict[tuple[bytes, bool], Head] = OrderedDict()

    def find(self, prefix: bytes, *, reverse: bool) -> Head | None:
        """Return the first stored key that may be visible, NOTHING when none is, or None when that is unknown."""
        return self._heads.get((prefix, reverse))

    def note(self, prefix: bytes, head: Head, *, reverse: bool) -> None:
        """Remember what a scan of the whole prefix met first in the store."""
        slot = (prefix, reverse)
        self._heads[slot] = head
        self._heads.move_to_end(slot)
        if len(self._heads) > HEADS_MAX:
            self._heads.popitem(last=False)

    def admit(self, stored: Sequence[bytes]) -> None:
        """Rows with these keys (sorted) are visible in the store from now on: heads move back to them."""
        for (prefix, reverse), head in self._heads.items():
            found = _outermost(stored, prefix, reverse=reverse)
            if found is not None and (isinstance(head, Nothing) or (found > head if reverse else found < head)):
                self._heads[prefix, reverse] = found

    def clear(self) -> None:
        """Forget all heads."""
        self._heads.clear()


def _outermost(keys: Sequence[bytes], prefix: bytes, *, reverse: bool) -> bytes | None:
    low, high = scan_bounds(prefix, None, reverse=reverse)
    at = bisect_left(keys, low) if not reverse else (len(keys) if high is None else bisect_left(keys, high)) - 1
    return keys[at] if 0 <= at < len(keys) and keys[at].startswith(prefix) else None
