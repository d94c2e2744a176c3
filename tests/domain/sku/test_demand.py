"""What orders do to a SKU's book: R2, R3, R5, R6, R12."""

from bostream.domain.sku.events import DemandReason, LineDemand, LineRefreshed, ScanType, ShipPolicy, Terms
from bostream.domain.sku.outcomes import (
    CancellationDeferred,
    DemandAdded,
    LineMoved,
    Outcome,
    Reason,
    UnitsAllocated,
    UnitsCancelled,
    UnitsDeallocated,
)
from tests.domain.sku.harness import HOUR, SKU, Story, discrepancies


def allocations(outcomes: list[Outcome]) -> list[tuple[str, int, str]]:
    """Return who got how many units, and where."""
    return [
        (outcome.order_id, outcome.quantity, outcome.location)
        for outcome in outcomes
        if isinstance(outcome, UnitsAllocated)
    ]


def test_a_late_older_order_takes_the_next_unit_and_nothing_back() -> None:
    story = Story()
    story.place("young", 2, at=9 * HOUR)
    story.receive(1)
    story.place("old", 1, at=8 * HOUR)
    assert (1, 0, 0, 1) == story.units("young")

    assert [("old", 1, "W1")] == allocations(story.receive(1))


def test_a_newcomer_does_not_pass_a_waiting_line_that_may_have_the_unit() -> None:
    story = Story()
    story.place("whole", 3, at=8 * HOUR, policy=ShipPolicy.LINE_COMPLETE)
    story.receive(2)

    assert [("new", 1, "W1")] == allocations(story.place("new", 1, at=9 * HOUR))
    assert [("whole", 3, "W1")] == allocations(story.receive(2))


def test_all_lines_of_an_order_enter_the_queue_before_any_is_served() -> None:
    story = Story()
    story.receive(3)
    story.terms["A"] = Terms(1, 9 * HOUR)
    lines = [LineDemand("2", add=3, seniority=9 * HOUR), LineDemand("1", add=2, seniority=9 * HOUR)]

    outcomes = story.demand("A", DemandReason.ORDER_PLACED, lines)

    units = [(o.line_id, o.quantity) for o in outcomes if isinstance(o, UnitsAllocated)]
    assert [("1", 2), ("2", 1)] == units


def test_added_units_of_the_same_seniority_are_one_entry() -> None:
    story = Story()
    story.place("A", 2, at=9 * HOUR)
    story.more("A", 3, at=9 * HOUR)
    row = story.book.page(SKU).line("A", "1")

    assert row is not None
    assert [(9 * HOUR, 5)] == [(entry.seniority, entry.demand) for entry in row.entries]


def test_units_added_with_an_older_seniority_rank_first() -> None:
    story = Story()
    story.place("A", 1, at=9 * HOUR)
    story.more("A", 1, at=11 * HOUR)
    story.place("B", 1, at=10 * HOUR)
    story.more("A", 1, at=7 * HOUR)

    assert [("A", 1, "W1"), ("A", 1, "W1"), ("B", 1, "W1")] == allocations(story.receive(3))


def test_an_order_served_from_free_stock_says_so_and_others_hear_that_units_were_freed() -> None:
    story = Story()
    story.receive(2)
    placed = story.place("A", 2, at=9 * HOUR)
    story.place("B", 1, at=10 * HOUR)
    lowered = story.fewer("A", 1)
    story.receive(3)
    raised = story.more("A", 1, at=11 * HOUR)

    assert [Reason.ORDER_PLACED] == [o.reason for o in placed if isinstance(o, UnitsAllocated)]
    assert [Reason.STOCK_FREED] == [o.reason for o in lowered if isinstance(o, UnitsAllocated)]
    assert [Reason.ORDER_AMENDED] == [o.reason for o in raised if isinstance(o, UnitsAllocated)]


def test_wider_locations_hold_for_what_still_waits() -> None:
    story = Story()
    story.place("A", 2, at=9 * HOUR, locations=("W1",))
    story.receive(5, "W2")
    assert (0, 0, 0, 2) == story.units("A")

    story.amend("A", LineDemand("1"), terms=Terms(2, 9 * HOUR, locations=("W1", "W2", "W1")))

    assert {"W2": 2} == story.held("A")


def test_a_line_that_becomes_partial_takes_what_is_there() -> None:
    story = Story()
    story.place("A", 3, at=9 * HOUR, policy=ShipPolicy.LINE_COMPLETE)
    story.receive(2)

    assert [("A", 2, "W1")] == allocations(story.amend("A", LineDemand("1"), terms=Terms(2, 9 * HOUR)))


def test_a_whole_line_that_needs_less_is_served() -> None:
    story = Story()
    story.place("A", 3, at=9 * HOUR, policy=ShipPolicy.LINE_COMPLETE)
    story.receive(2)

    assert [("A", 2, "W1")] == allocations(story.fewer("A", 1))


def test_cancelling_more_than_is_open_cancels_what_is_open() -> None:
    story = Story()
    story.place("A", 3)
    story.receive(2)
    story.scan(ScanType.SHIPPED, 1, "A")

    story.fewer("A", 9)

    assert (0, 1, 2, 0) == story.units("A")
    assert story.line("A").status is None


def test_a_cancelled_line_gives_its_units_to_the_next_in_rank_in_one_step() -> None:
    story = Story()
    story.place("A", 2, at=8 * HOUR)
    story.place("B", 2, at=9 * HOUR)
    story.receive(2)

    outcomes = story.cancel("A")

    published = (UnitsDeallocated, UnitsCancelled, UnitsAllocated)
    assert [UnitsDeallocated, UnitsCancelled, UnitsAllocated] == [
        type(outcome) for outcome in outcomes if isinstance(outcome, published)
    ]
    assert (2, 0, 0, 0) == story.units("B")


def test_picked_units_of_a_cancelled_line_stay_until_shipped_and_count_as_shipped() -> None:
    story = Story()
    story.place("A", 3)
    story.receive(3)
    story.scan(ScanType.PICKED, 2, "A")
    assert ["DISCREPANCY"] == discrepancies(story.cancel("A"))
    assert [] == discrepancies(story.cancel("A"))

    story.scan(ScanType.SHIPPED, 2, "A")

    assert (0, 2, 1, 0) == story.units("A")


def test_of_a_line_amended_down_after_picking_the_wanted_units_ship_first() -> None:
    story = Story()
    story.place("A", 5)
    story.receive(5)
    story.scan(ScanType.PICKED, 5, "A")
    story.fewer("A", 2)
    story.scan(ScanType.SHIPPED, 3, "A")
    story.scan(ScanType.UNPICKED, 2, "A")

    assert (0, 3, 2, 0) == story.units("A")
    assert 2 == story.position().available


def test_a_line_raised_by_less_than_was_cancelled_after_picking_gets_only_its_own_units_back() -> None:
    story = Story()
    story.place("A", 5)
    story.receive(9)
    story.scan(ScanType.PICKED, 5, "A")
    story.cancel("A")

    outcomes = story.more("A", 2, at=10 * HOUR)

    assert [CancellationDeferred("A", "1", -2)] == outcomes
    assert not [outcome for outcome in outcomes if isinstance(outcome, DemandAdded)]


def test_nothing_is_known_of_a_line_that_was_only_cancelled() -> None:
    story = Story()
    story.terms["A"] = Terms(1, 9 * HOUR)

    assert [] == story.cancel("A")
    assert story.book.view(SKU, "A", "1") is None


def test_a_closed_line_ignores_changes_of_its_terms() -> None:
    story = Story()
    story.place("A", 1)
    story.cancel("A")

    assert [] == story.amend("A", LineDemand("1"), terms=Terms(2, 9 * HOUR, priority=0))


def test_a_closed_line_may_want_units_again() -> None:
    story = Story()
    story.place("A", 1)
    story.cancel("A")
    story.more("A", 2, at=10 * HOUR)

    assert (0, 0, 1, 2) == story.units("A")
    assert 3 == story.line("A").ordered


def test_a_line_that_moves_to_another_sku_lets_go_of_what_is_not_picked() -> None:
    story = Story()
    story.place("A", 3)
    story.receive(3)
    story.scan(ScanType.PICKED, 1, "A")

    outcomes = story.amend("A", LineDemand("1", ends=True, moved=True))

    assert LineMoved("A", "1") in outcomes
    assert story.line("A").is_moved
    assert "ALLOCATED" == story.line("A").status


def test_a_closed_line_says_once_that_it_moved() -> None:
    story = Story()
    story.place("A", 1)
    story.cancel("A")

    assert [LineMoved("A", "1")] == story.amend("A", LineDemand("1", ends=True, moved=True))
    assert [] == story.amend("A", LineDemand("1", ends=True, moved=True))


def test_a_line_that_comes_back_to_the_sku_is_shown_again() -> None:
    story = Story()
    story.place("A", 2)
    story.receive(2)
    story.scan(ScanType.PICKED, 2, "A")
    story.amend("A", LineDemand("1", ends=True, moved=True))
    story.more("A", 1, at=10 * HOUR)
    assert not story.line("A").is_moved

    story.place("B", 1)
    story.amend("B", LineDemand("1", ends=True, moved=True))
    story.more("B", 1, at=10 * HOUR)
    assert not story.line("B").is_moved


def test_showing_a_line_once_more_changes_nothing() -> None:
    story = Story()
    story.place("A", 1)
    before = story.state.rows()

    assert [] == story.happen(LineRefreshed(story.cause("orders/AMENDED"), SKU, "A", "1"))
    assert before == story.state.rows()


def test_waiting_since_begins_anew_when_a_line_waits_again() -> None:
    story = Story()
    story.place("A", 2)
    first = story.line("A").waiting_since
    story.receive(1)
    assert first == story.line("A").waiting_since
    story.receive(1)
    assert story.line("A").waiting_since is None
    story.scan(ScanType.ADJUSTED, -1)

    assert story.now == story.line("A").waiting_since


def test_the_status_tells_how_far_a_line_is() -> None:
    story = Story()
    story.place("A", 3)
    seen = [story.line("A").status]
    story.receive(2)
    seen.append(story.line("A").status)
    story.receive(1)
    seen.append(story.line("A").status)
    story.scan(ScanType.SHIPPED, 1, "A")
    seen.append(story.line("A").status)
    story.scan(ScanType.SHIPPED, 2, "A")
    seen.append(story.line("A").status)

    assert ["WAITING", "PARTIALLY_ALLOCATED", "ALLOCATED", "PARTIALLY_SHIPPED", None] == seen


def test_the_totals_count_what_waits() -> None:
    story = Story()
    story.place("A", 3)
    story.place("B", 2)
    story.receive(4)

    totals = story.book.totals(SKU)
    assert (1, 1) == (totals.waiting_units, totals.waiting_lines)
