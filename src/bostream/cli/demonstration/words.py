"""Numbers and times in the words of the table and the summary."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


def count(number: int, one: str, many: str = "") -> str:
    """Return ``1 line``, ``2,345 lines``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moment(microseconds: int) -> str:
    """Return a time as people read it, to the minute."""
    return (_EPOCH + timedelta(microseconds=microseconds)).strftime("%a %Y-%m-%d %H:%M")


def age(microseconds: int) -> str:
    """Return a length of time in its two largest units."""
    seconds = max(0, microseconds // 1_000_000)
    if seconds >= _DAY:
        return f"{seconds // _DAY} d {seconds % _DAY // _HOUR} h"
    if seconds >= _HOUR:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
    if seconds >= _MINUTE:
        return f"{seconds // _MINUTE} min"
    return f"{seconds} s"


def clock(seconds: float) -> str:
    """Return ``mm:ss``, or ``h:mm:ss``."""
    whole = int(seconds)
    minutes = f"{whole % _HOUR // _MINUTE:02d}:{whole % _MINUTE:02d}"
    return f"{whole // _HOUR}:{minutes}" if whole >= _HOUR else minutes


def milliseconds(number: int | None) -> str:
    """Return a latency; a dash where nothing was measured."""
    if number is None:
        return "–"
    return f"{number:,} ms" if number < 10_000 else f"{number / 1000:,.1f} s"  # noqa: PLR2004 - five digits are hard to read


def by_name(counts: dict[str, int]) -> str:
    """Return counts, greatest first."""
    return ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items(), key=lambda item: -item[1]))
