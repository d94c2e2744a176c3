"""Half-open key ranges: one reading of (prefix, start, reverse) for every ordered store.

What must stay true: a key lies in ``scan_bounds(prefix, start, reverse)`` exactly when it begins with the prefix and
``start`` does not rule it out; a start outside the prefix is no special case.
"""


def prefix_end(prefix: bytes) -> bytes | None:
    """Return the least key greater than every key with this prefix, or None when there is no such key."""
    body = prefix.rstrip(b"\xff")
    return body[:-1] + bytes((body[-1] + 1,)) if body else None


def scan_bounds(prefix: bytes, start: bytes | None, *, reverse: bool) -> tuple[bytes, bytes | None]:
    """Return the range of a scan: the lowest key in it, and the lowest key above it (None: no limit)."""
    end = prefix_end(prefix)
    if start is None:
        return prefix, end
    if not reverse:
        return max(prefix, start), end
    above_start = start + b"\x00"
    return prefix, above_start if end is None else min(end, above_start)
