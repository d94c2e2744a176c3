"""Who comes before whom (R1): rank keys, their order as bytes, and how people read them.

What must stay true: two entries never have the same rank key, and comparing keys as bytes is comparing the policy's
keys, then order id, then line id. Policies get their place here: everything else treats a rank key as opaque bytes.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from bostream.domain.keys import pack
from bostream.domain.sku.state import ANY_LOCATION, Line

DEFAULT_POLICY = "default@0"
"""What is published as ``policy``: ranks are PRIORITY, then ACCEPTED_AT."""

_RANKS_REMEMBERED_MAX = 1_024
_SCOPES_REMEMBERED_MAX = 1_024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rank_key(priority: int, seniority: int, tail: bytes) -> bytes:
    """Return the ordered key of an entry; smaller is served first (R1, R2). ``tail`` packs order id and line id."""
    return pack(priority, seniority) + tail


def rank_text(line: Line, seniority: int) -> str:
    """Return the same for people; order id and line id stand beside it in every record."""
    return _rank_text(line.terms.priority, seniority)


@lru_cache(maxsize=_RANKS_REMEMBERED_MAX)
def _rank_text(priority: int, seniority: int) -> str:
    """An event mostly names the same rank several times."""
    return f"PRIORITY={priority} ACCEPTED_AT={time_text(seniority)}"


def line_rank_text(line: Line) -> str:
    """Return the rank at which the line waits next or, when it does not wait, its worst."""
    if not line.entries:
        return rank_text(line, line.terms.accepted_at)
    if line.is_whole or not line.waiting:
        return rank_text(line, line.entries[-1].seniority)
    entry, _ = line.entry_before(line.shipped + line.allocated + 1)
    return rank_text(line, entry.seniority)


def time_text(micros: int) -> str:
    """Return µs since the epoch as RFC 3339 in UTC, or as the number itself where no calendar reaches."""
    try:
        moment = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return str(micros)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


@lru_cache(maxsize=_SCOPES_REMEMBERED_MAX)
def scope_of(locations: tuple[str, ...]) -> str:
    """Return the name of a set of allowed locations: the same for every order of preference."""
    if not locations:
        return ANY_LOCATION
    return "".join("/" + escaped(location) for location in sorted(set(locations)))


def locations_of(scope: str) -> tuple[str, ...]:
    """Return the sorted locations of a scope's name; empty means any."""
    if scope == ANY_LOCATION:
        return ()
    return tuple(name.replace("%2F", "/").replace("%25", "%") for name in scope[1:].split("/"))


def counted(quantity: int) -> str:
    """Write a number of units for people."""
    return "1 unit" if quantity == 1 else f"{quantity} units"


def joined(*ids: str) -> str:
    """Join ids with ``/`` so that they can be told apart again."""
    return "/".join(map(escaped, ids))


def escaped(identity: str) -> str:
    """Percent-encode what separates ids."""
    return identity.replace("%", "%25").replace("/", "%2F")
