"""``--since`` as people type it."""

import pytest

from bostream.cli.tailing.since import parse_since

NOON = 1_764_072_000_000_000
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("beginning", None),
        ("now", NOON),
        ("90s", NOON - 90 * SECOND),
        ("10m", NOON - 600 * SECOND),
        ("2h", NOON - 7200 * SECOND),
        ("3d", NOON - 259_200 * SECOND),
        ("1w", NOON - 604_800 * SECOND),
        ("999999999w", 0),
        ("2025-11-25T11:59:59Z", NOON - SECOND),
        ("2025-11-25T13:00:00.000001+01:00", NOON + 1),
        ("1969-12-31T00:00:00Z", 0),
    ],
)
def test_a_moment_is_understood(text: str, expected: int | None) -> None:
    assert expected == parse_since(text, NOON)


@pytest.mark.parametrize("text", ["", "10", "10y", "-10m", "yesterday", "2025-11-25"])
def test_what_is_no_moment_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(ValueError, match="write 10m, 2h"):
        parse_since(text, NOON)


def test_a_time_without_a_zone_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="2025-11-25T12:00:00 has no time zone; write 2025-11-25T12:00:00Z for UTC"):
        parse_since("2025-11-25T12:00:00", NOON)
