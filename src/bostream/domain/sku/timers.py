"""The moments of log time at which a book wants to be called (R21).

What must stay true: a timer only points at something; whether it is still due is read from the book when it fires.
"""

from functools import lru_cache

from bostream.domain.keys import pack
from bostream.domain.sku.book import Book
from bostream.domain.state import Timer

SCANS_PARKED = "scans-parked"
"""Subject (sku, order, line): parked scans reach their horizon (R15)."""
SCANS_SEEN = "scans-seen"
"""Subject (generation): no scan of this generation is within the horizon any more (I8)."""
LINE_CLOSED = "line-closed"
"""Subject (sku, order, line): a closed line reaches its retention."""
INBOUND_SETTLED = "inbound-settled"
"""Subject (sku, asn, line): a closed or never announced ASN line reaches its retention."""

SWEEP_ROWS_MAX = 1_000
"""Remembered scans forgotten in one firing, so that no firing is long."""
SWEEP_PAUSE = 1_000_000
"""µs of log time between two slices of a sweep."""


def arm_sweep(book: Book, due: int, generation: int) -> None:
    """Ask for a generation of remembered scans to be swept at ``due``; each scan of the generation asks."""
    key = _sweep_key(due, generation)
    if book.timers.get(key) is None:
        book.timers.put(key, Timer(due, SCANS_SEEN, (str(generation),)))


@lru_cache(maxsize=16)
def _sweep_key(due: int, generation: int) -> bytes:
    return pack(due, SCANS_SEEN, str(generation))


def arm(book: Book, due: int, kind: str, *subject: str) -> None:
    """Ask to be called at ``due``; asking again changes nothing. Called by evolve only."""
    key = pack(due, kind, *subject)
    if book.timers.get(key) is None:
        book.timers.put(key, Timer(due, kind, subject))
