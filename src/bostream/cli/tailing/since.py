"""``--since``: a moment, as people type it."""

import re
from datetime import datetime
from typing import Annotated, Final

import msgspec

from bostream.contract.json_format import time_from_text
from bostream.errors import BadRecordError

BEGINNING: Final = "beginning"
NOW: Final = "now"
_AGO: Final = re.compile(r"([0-9]{1,9})([smhdw])")
_UNIT_US: Final = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
_LOCAL = Annotated[datetime, msgspec.Meta(tz=False)]


def parse_since(text: str, now: int) -> int | None:
    """Return the moment (µs since the epoch, UTC); None for the beginning.

    Args:
        text: ``beginning``, ``now``, a time ago (``90s``, ``10m``, ``2h``, ``3d``, ``1w``), or RFC 3339 with a zone.
        now: the present moment.

    Raises:
        ValueError: it is none of these.
    """
    if text == BEGINNING:
        return None
    if text == NOW:
        return now
    if ago := _AGO.fullmatch(text):
        return max(0, now - int(ago[1]) * _UNIT_US[ago[2]])
    try:
        return max(0, time_from_text(text, "it"))
    except BadRecordError:
        pass
    if _is_local_time(text):
        raise ValueError(f"{text} has no time zone; write {text}Z for UTC")
    raise ValueError(f"{text!r} is no moment: write 10m, 2h, 3d, 2026-01-31T08:00:00Z, {BEGINNING} or {NOW}")


def _is_local_time(text: str) -> bool:
    try:
        msgspec.convert(text, _LOCAL)
    except (msgspec.ValidationError, ValueError, OverflowError):
        return False
    return True
