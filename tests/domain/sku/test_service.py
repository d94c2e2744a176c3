"""How the queue is served: R8, R9, and what ``units_ahead`` says."""

from bostream.domain.sku.events import ScanType, ShipPolicy
from bostream.domain.sku.outcomes import Outcome, UnitsAllocated
from tests.domain.sku.harness import HOUR, Story

WHOLE = ShipPolicy.LINE_COMPLETE


def served(outcomes: list[Outcome]) -> list[tuple[str, int, str, int]]:
    """Return (order, units, location, units ahead) in the order of service."""
    return [
        (outcome.order_id, outcome.quantity, outcome.location, outcome.units_ahead)
        for outcome in outcomes
        if isinstance(outcome, UnitsAllocated)
    ]


def test_stock_at_a_location_goes_to_the_lines_that_allow_it_in_rank_order() -> None:
    story = Story()
    story.place("far", 2, at=7 * HOUR, locations=("W2",))
    story.place("near", 2, at=9 * HOUR, locations=("W1", "W2"))
    story.place("any", 2, at=8 * HOUR)

    assert [("any", 2, "W1", 2), ("near", 1, "W1", 2)] == served(story.receive(3))


def test_units_ahead_counts_every_passed_over_lane_up_to_the_rank_served() -> None:
    story = Story()
    story.place("whole-5", 5, at=6 * HOUR, policy=WHOLE)
    story.place("whole-4", 4, at=8 * HOUR, policy=WHOLE)
    story.place("elsewhere", 7, at=7 * HOUR, locations=("W2",))
    story.place("after", 9, at=11 * HOUR, policy=WHOLE)
    story.place("first", 1, at=5 * HOUR)
    story.place("second", 1, at=9 * HOUR)
    story.place("third", 1, at=10 * HOUR)

    expected = [("first", 1, "W1", 0), ("second", 1, "W1", 16), ("third", 1, "W1", 16)]
    assert expected == served(story.receive(3))


def test_a_lane_that_runs_dry_while_others_are_served_is_passed_over_with_what_it_still_wants() -> None:
    story = Story()
    story.place("blocked", 9, at=5 * HOUR, policy=WHOLE)
    story.receive(2, "W1")
    story.receive(2, "W2")
    story.scan(ScanType.QUARANTINED, 2, location="W1")
    story.scan(ScanType.QUARANTINED, 2, location="W2")
    story.place("A", 3, at=6 * HOUR, locations=("W1",))
    story.place("B", 1, at=7 * HOUR, locations=("W1",))
    story.place("C", 1, at=8 * HOUR, locations=("W2",))
    story.place("D", 1, at=9 * HOUR, locations=("W2", "W1"))
    story.scan(ScanType.UNQUARANTINED, 2, location="W2")
    assert (1, 0, 0, 0) == story.units("D")

    assert [("A", 2, "W1", 9)] == served(story.scan(ScanType.UNQUARANTINED, 2, location="W1"))


def test_one_step_serves_several_lanes_and_counts_the_rest_of_the_one_that_ran_dry() -> None:
    story = Story()
    story.place("holder", 4, at=1 * HOUR)
    story.receive(2, "W1")
    story.receive(2, "W2")
    story.place("A", 3, at=6 * HOUR, locations=("W1",))
    story.place("B", 1, at=7 * HOUR, locations=("W1",))
    story.place("C", 2, at=8 * HOUR, locations=("W2",))

    assert [("A", 2, "W1", 0), ("C", 2, "W2", 2)] == served(story.cancel("holder"))


def test_a_whole_line_draws_on_several_of_its_locations_and_no_others() -> None:
    story = Story()
    story.place("A", 5, at=9 * HOUR, policy=WHOLE, locations=("W2", "W1"))
    story.receive(9, "W3")
    story.receive(3, "W1")

    assert [("A", 2, "W2", 0), ("A", 3, "W1", 0)] == served(story.receive(2, "W2"))


def test_a_whole_line_with_several_entries_waits_at_its_worst() -> None:
    story = Story()
    story.place("A", 1, at=6 * HOUR, policy=WHOLE)
    story.more("A", 1, at=10 * HOUR)
    story.place("B", 1, at=8 * HOUR)
    assert story.line("A").rank.endswith("T10:00:00.000000Z")

    assert [("B", 1, "W1", 0), ("A", 2, "W1", 0)] == served(story.receive(3))


def test_orders_with_the_same_seniority_rank_by_order_id_then_line_id() -> None:
    story = Story()
    story.place("B", 1, line="1")
    story.place("A", 1, line="2")
    story.place("A", 1, line="10")

    outcomes = story.receive(3)

    lines = [(o.order_id, o.line_id) for o in outcomes if isinstance(o, UnitsAllocated)]
    assert [("A", "10"), ("A", "2"), ("B", "1")] == lines


def test_a_line_without_a_list_draws_on_most_free_stock_first() -> None:
    story = Story()
    for location, units in (("W3", 2), ("W1", 2), ("W2", 3)):
        story.receive(units, location)

    assert [("A", 3, "W2", 0), ("A", 2, "W1", 0), ("A", 1, "W3", 0)] == served(story.place("A", 6))


def test_units_leave_a_line_with_a_list_from_places_that_are_not_allowed_any_more_first() -> None:
    story = Story()
    for location in ("W1", "W2", "W3"):
        story.receive(1, location)
    story.place("A", 3)
    story.amend("A", terms=story.terms["A"])
    story.place("A", 1, locations=("W1", "W3"))
    assert {"W1": 1, "W2": 1, "W3": 1} == story.held("A")

    story.fewer("A", 2)
    assert {"W1": 1, "W3": 1} == story.held("A")
    story.fewer("A", 1)
    assert {"W1": 1} == story.held("A")


def test_units_leave_a_line_without_a_list_from_least_free_stock_first() -> None:
    story = Story()
    for location, units in (("W1", 3), ("W2", 3), ("W3", 3)):
        story.receive(units, location)
    story.place("A", 9)
    story.receive(1, "W3")

    story.fewer("A", 4)

    assert {"W1": 2, "W3": 3} == story.held("A")
