"""Names of scopes and ranks."""

import pytest

from bostream.domain.sku.events import Terms
from bostream.domain.sku.rank import joined, line_rank_text, locations_of, rank_key, scope_of, time_text
from bostream.domain.sku.state import Entry, Line
from bostream.errors import InvariantError


@pytest.mark.parametrize("locations", [(), ("*",), ("a", "b"), ("a/b", "c%2F"), ("%25",)])
def test_a_scope_gives_its_locations_back(locations: tuple[str, ...]) -> None:
    assert tuple(sorted(locations)) == locations_of(scope_of(locations))


def test_a_scope_does_not_depend_on_preference() -> None:
    assert scope_of(("W1", "W2")) == scope_of(("W2", "W1", "W2"))
    assert scope_of(("W1,W2",)) != scope_of(("W1", "W2"))
    assert scope_of(()) != scope_of(("*",))


def test_rank_keys_order_by_priority_then_seniority_then_ids() -> None:
    keys = [
        rank_key(0, 9, b"a"),
        rank_key(1, -5, b"a"),
        rank_key(1, 7, b"a"),
        rank_key(1, 7, b"b"),
    ]
    assert keys == sorted(keys)


def test_times_read_as_utc_or_as_numbers_beyond_the_calendar() -> None:
    assert "1970-01-01T00:00:00.000001Z" == time_text(1)
    assert str(1 << 62) == time_text(1 << 62)


def test_ids_are_joined_so_that_they_can_be_told_apart() -> None:
    assert "a%2Fb/c%25" == joined("a/b", "c%")


def test_units_that_no_entry_has_are_a_bug() -> None:
    line = Line("A", "1", Terms(1, 0), [Entry(1, 2), Entry(2, 2)], ordered=4)

    assert (Entry(2, 2), 2) == line.entry_before(4)
    with pytest.raises(InvariantError, match="end at 4"):
        line.entry_before(5)


def test_a_partial_lines_rank_is_that_of_its_first_waiting_entry() -> None:
    line = Line("A", "1", Terms(1, 0), [Entry(1, 2), Entry(2, 2), Entry(3, 2)], ordered=6, shipped=3)

    assert "PRIORITY=5 ACCEPTED_AT=1970-01-01T00:00:00.000002Z" == line_rank_text(line)
