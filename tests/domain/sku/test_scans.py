"""What scans do to stock and to lines: R13 to R16, and repeats."""

import pytest

from bostream.domain.sku.events import ScanType, ShipPolicy
from bostream.domain.sku.outcomes import Outcome, Reason, UnitsAllocated, UnitsDeallocated, UnitsShipped
from bostream.domain.sku.rank import time_text
from tests.domain.sku.harness import DAY, HOUR, MINUTE, SKU, Story, discrepancies


def reasons(outcomes: list[Outcome]) -> list[tuple[str, str, Reason]]:
    """Return who got or lost units and why."""
    return [
        (type(o).__name__, o.order_id, o.reason) for o in outcomes if isinstance(o, UnitsAllocated | UnitsDeallocated)
    ]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ScanType.RECEIVED, Reason.STOCK_RECEIVED),
        (ScanType.RETURNED, Reason.STOCK_RETURNED),
        (ScanType.ADJUSTED, Reason.STOCK_FOUND),
        (ScanType.COUNTED, Reason.STOCK_FOUND),
        (ScanType.UNQUARANTINED, Reason.UNQUARANTINED),
        (ScanType.TRANSFERRED_IN, Reason.TRANSFER),
    ],
)
def test_units_that_appear_go_to_who_waits_and_say_where_they_come_from(kind: ScanType, reason: Reason) -> None:
    story = Story()
    story.place("A", 2)

    assert [("UnitsAllocated", "A", reason)] == reasons(story.scan(kind, 2))


@pytest.mark.parametrize(
    ("kind", "quantity", "reason"),
    [
        (ScanType.ADJUSTED, -2, Reason.COUNT_SHORTAGE),
        (ScanType.COUNTED, 1, Reason.COUNT_SHORTAGE),
        (ScanType.QUARANTINED, 2, Reason.QUARANTINE),
        (ScanType.TRANSFERRED_OUT, 2, Reason.TRANSFER),
    ],
)
def test_units_that_are_missing_are_taken_back_and_say_why(kind: ScanType, quantity: int, reason: Reason) -> None:
    story = Story()
    story.place("A", 3)
    story.receive(3)

    assert [("UnitsDeallocated", "A", reason)] == reasons(story.scan(kind, quantity))
    assert (1, 0, 0, 2) == story.units("A")


def test_a_line_that_loses_units_gets_others_for_the_same_reason() -> None:
    story = Story()
    story.place("A", 2, locations=("W1", "W2"))
    story.receive(2, "W1")
    story.receive(1, "W2")

    outcomes = story.scan(ScanType.ADJUSTED, -1)

    assert [
        ("UnitsDeallocated", "A", Reason.COUNT_SHORTAGE),
        ("UnitsAllocated", "A", Reason.COUNT_SHORTAGE),
    ] == reasons(outcomes)
    assert {"W1": 1, "W2": 1} == story.held("A")


def test_free_stock_hides_a_shortage() -> None:
    story = Story()
    story.place("A", 2)
    story.receive(5)

    assert [] == reasons(story.scan(ScanType.ADJUSTED, -3))


def test_a_shortage_takes_units_worst_entry_first_across_lines_and_locations() -> None:
    story = Story()
    story.place("A", 2, at=6 * HOUR, locations=("W1", "W2"))
    story.place("B", 2, at=8 * HOUR)
    story.more("A", 2, at=10 * HOUR)
    story.receive(3, "W2")
    story.receive(3, "W1")
    assert {"W2": 2, "W1": 2} == story.held("A")
    assert {"W2": 1, "W1": 1} == story.held("B")

    # A's two late units count first although one of its units at W1 may be an early one; then B's; then A's early ones.
    outcomes = story.scan(ScanType.ADJUSTED, -3, location="W1")
    lost = [(o.order_id, o.quantity, o.rank[-16:-8]) for o in outcomes if isinstance(o, UnitsDeallocated)]
    assert [("A", 2, "10:00:00"), ("B", 1, "08:00:00")] == lost

    outcomes = story.scan(ScanType.ADJUSTED, -3, location="W2")
    lost = [(o.order_id, o.quantity, o.rank[-16:-8]) for o in outcomes if isinstance(o, UnitsDeallocated)]
    assert [("B", 1, "08:00:00"), ("A", 2, "06:00:00")] == lost


def test_a_line_that_lost_its_worst_entry_is_spared_until_its_next_entry_is_the_worst() -> None:
    story = Story()
    story.place("A", 1, at=6 * HOUR)
    story.more("A", 1, at=9 * HOUR)
    story.more("A", 1, at=12 * HOUR)
    story.place("B", 1, at=8 * HOUR)
    story.place("C", 1, at=10 * HOUR)
    story.receive(5)

    outcomes = story.scan(ScanType.ADJUSTED, -5)

    lost = [(o.order_id, o.quantity) for o in outcomes if isinstance(o, UnitsDeallocated)]
    assert [("A", 1), ("C", 1), ("A", 1), ("B", 1), ("A", 1)] == lost


def test_picked_units_are_never_taken() -> None:
    story = Story()
    story.place("A", 2, at=8 * HOUR)
    story.place("B", 2, at=9 * HOUR)
    story.receive(4)
    story.scan(ScanType.PICKED, 2, "B")

    story.scan(ScanType.ADJUSTED, -1)

    assert (1, 0, 0, 1) == story.units("A")
    assert (2, 0, 0, 0) == story.units("B")


def test_units_picked_beyond_the_allocation_come_from_free_stock_first() -> None:
    story = Story()
    story.place("W", 9, at=5 * HOUR, policy=ShipPolicy.LINE_COMPLETE)
    story.receive(3)
    story.place("A", 2, at=8 * HOUR, locations=("W2",))

    assert [] == discrepancies(story.scan(ScanType.PICKED, 2, "A"))
    assert {"W1": 2} == story.held("A")
    assert 1 == story.position().available


def test_units_shipped_without_any_allocation_leave_a_deficit() -> None:
    story = Story()
    story.place("A", 2)

    assert ["STOCK_SHORTAGE"] == discrepancies(story.scan(ScanType.SHIPPED, 2, "A"))
    assert (-2, 2) == (story.position().on_hand, story.position().deficit)
    assert (0, 2, 0, 0) == story.units("A")


def test_more_shipped_than_ordered_raises_the_order() -> None:
    story = Story()
    story.place("A", 1, at=8 * HOUR)
    story.more("A", 1, at=10 * HOUR)
    story.receive(2)

    outcomes = story.scan(ScanType.SHIPPED, 3, "A")

    assert ["DISCREPANCY", "STOCK_SHORTAGE"] == discrepancies(outcomes)
    assert 3 == story.line("A").ordered
    assert (0, 3, 0, 0) == story.units("A")


@pytest.mark.parametrize("is_parked", [False, True])
def test_units_picked_beyond_the_order_rank_by_when_they_were_picked(is_parked: bool) -> None:
    story = Story(now=9 * HOUR + 10 * MINUTE)
    story.receive(4)
    scans = (ScanType.PICKED, ScanType.UNPICKED)
    if is_parked:
        for kind in scans:
            story.scan(kind, 3, "A")
    story.place("A", 2, at=9 * HOUR)
    if not is_parked:
        for kind in scans:
            story.scan(kind, 3, "A")
    story.place("B", 1, at=9 * HOUR + 5 * MINUTE)

    story.scan(ScanType.COUNTED, 3)

    assert (3, 2) == (story.line("A").ordered, story.line("A").allocated)
    assert (1, 0, 0, 0) == story.units("B")


def test_units_picked_beyond_the_order_never_rank_before_its_acceptance() -> None:
    story = Story()
    story.receive(4)
    story.place("A", 1, at=20 * HOUR)
    story.scan(ScanType.PICKED, 2, "A")

    row = story.book.page(SKU).known_line("A", "1")
    assert [(20 * HOUR, 2)] == [(entry.seniority, entry.demand) for entry in row.entries]


def test_the_rank_of_units_picked_beyond_the_order_is_that_of_their_entry() -> None:
    story = Story(now=12 * HOUR)
    story.receive(9)
    story.place("A", 1, at=9 * HOUR)
    story.more("A", 1, at=20 * HOUR)

    given = [one for one in story.scan(ScanType.PICKED, 3, "A") if isinstance(one, UnitsAllocated)]

    # Of A's own entries one ranks before the added unit and one after it, which so has the third place on the line.
    assert [f"PRIORITY=5 ACCEPTED_AT={time_text(20 * HOUR)}"] == [one.rank for one in given]


def test_units_held_elsewhere_move_before_the_order_grows_but_picked_ones_stay() -> None:
    story = Story()
    story.place("A", 3, locations=("W2", "W3"))
    story.receive(2, "W2")
    story.receive(1, "W3")
    story.scan(ScanType.PICKED, 1, "A", location="W2")
    story.receive(9, "W1")

    assert ["DISCREPANCY"] == discrepancies(story.scan(ScanType.PICKED, 4, "A"))
    assert {"W2": 1, "W1": 4} == story.held("A")
    assert 5 == story.line("A").ordered


def test_units_at_the_scanned_location_are_used_before_any_move() -> None:
    story = Story()
    story.place("A", 4)
    story.receive(2, "W1")
    story.receive(2, "W2")

    story.scan(ScanType.SHIPPED, 3, "A")

    assert {"W2": 1} == story.held("A")
    assert (1, 3, 0, 0) == story.units("A")


def test_shorted_units_are_unpicked_ones_first() -> None:
    story = Story()
    story.place("A", 4)
    story.receive(4)
    story.scan(ScanType.PICKED, 2, "A")

    story.scan(ScanType.SHORTED, 3, "A")

    assert (1, 0, 0, 3) == story.units("A")
    assert 1 == story.line("A").picked
    assert 1 == story.position().on_hand


def test_more_shorted_than_the_line_has_takes_what_it_has() -> None:
    story = Story()
    story.place("A", 1, at=8 * HOUR)
    story.place("B", 1, at=9 * HOUR)
    story.receive(2)

    assert ["DISCREPANCY"] == discrepancies(story.scan(ScanType.SHORTED, 2, "A"))
    assert 0 == story.position().on_hand
    assert (0, 0, 0, 1) == story.units("A")
    assert (0, 0, 0, 1) == story.units("B")


def test_unpicking_where_nothing_was_picked_is_only_told() -> None:
    story = Story()
    story.place("A", 1)
    story.receive(1)

    assert ["DISCREPANCY"] == discrepancies(story.scan(ScanType.UNPICKED, 1, "A", location="W2"))
    assert (1, 0, 0, 0) == story.units("A")


@pytest.mark.parametrize(
    ("kind", "on_hand"),
    [(ScanType.PICKED, 5), (ScanType.UNPICKED, 5), (ScanType.SHIPPED, 3), (ScanType.SHORTED, 3)],
)
def test_a_scan_of_a_closed_line_moves_stock_and_is_told_at_once(kind: ScanType, on_hand: int) -> None:
    story = Story()
    story.place("A", 1)
    story.cancel("A")
    story.receive(5)

    assert ["DISCREPANCY"] == discrepancies(story.scan(kind, 2, "A"))
    assert on_hand == story.position().on_hand


def test_parked_scans_are_set_against_their_line_in_the_order_in_which_they_came() -> None:
    story = Story()
    story.receive(5)
    story.scan(ScanType.PICKED, 3, "A")
    story.scan(ScanType.UNPICKED, 1, "A")
    story.scan(ScanType.SHORTED, 1, "A")
    story.scan(ScanType.SHIPPED, 1, "A")
    assert 3 == story.position().on_hand

    assert [] == discrepancies(story.place("A", 4))

    assert 3 == story.position().on_hand
    assert (3, 1, 0, 0) == story.units("A")


def test_parked_scans_of_one_line_do_not_touch_another_of_the_same_order() -> None:
    story = Story()
    story.scan(ScanType.PICKED, 1, "A", line="2")
    story.receive(3)
    story.place("A", 1, line="1")
    assert 0 == story.line("A").picked

    story.cancel("A", line="2")
    story.place("A", 1, line="2")

    assert 1 == story.line("A", "2").picked


def test_a_parked_scan_beyond_what_closed_the_line_is_told() -> None:
    story = Story()
    story.receive(5)
    story.scan(ScanType.SHIPPED, 2, "A")
    story.scan(ScanType.SHIPPED, 1, "A")

    assert ["DISCREPANCY"] == discrepancies(story.place("A", 2))
    assert 2 == story.position().on_hand
    assert (0, 2, 0, 0) == story.units("A")


def test_a_parked_shipment_is_put_back_before_it_leaves_as_the_lines() -> None:
    on_hand: list[int] = []

    class Watched(Story):
        def observe(self, outcome: Outcome) -> None:
            if isinstance(outcome, UnitsAllocated | UnitsShipped):
                on_hand.append(self.position().on_hand)

    story = Watched()
    story.scan(ScanType.SHIPPED, 4, "A")
    story.place("A", 4)

    assert [0, -4] == on_hand


def test_a_parked_shipment_does_not_tell_a_standing_deficit_again() -> None:
    story = Story()
    story.scan(ScanType.SHIPPED, 3, "A")
    assert 3 == story.position().deficit

    assert [] == discrepancies(story.place("A", 3))
    assert (-3, 3) == (story.position().on_hand, story.position().deficit)


def test_a_repeat_changes_nothing_and_says_nothing() -> None:
    story = Story()
    story.place("A", 9)
    story.scan(ScanType.RECEIVED, 2, event_id="once")
    before = story.state.rows()

    assert [] == story.scan(ScanType.RECEIVED, 2, event_id="once")
    assert before == story.state.rows()


def test_a_count_that_finds_what_was_expected_is_remembered_too() -> None:
    story = Story()
    story.receive(2)
    story.scan(ScanType.COUNTED, 2, event_id="once")
    story.receive(3)

    assert [] == story.scan(ScanType.COUNTED, 2, event_id="once")
    assert 5 == story.position().on_hand


def test_quarantine_keeps_units_out_of_the_queue_and_stops_at_zero() -> None:
    story = Story()
    story.receive(3)
    story.scan(ScanType.QUARANTINED, 2)
    assert (1, 2) == (story.position().on_hand, story.position().quarantined)

    assert ["DISCREPANCY"] == discrepancies(story.scan(ScanType.UNQUARANTINED, 3))
    assert (4, 0) == (story.position().on_hand, story.position().quarantined)


def test_a_receipt_for_an_asn_without_its_line_reduces_no_line() -> None:
    story = Story()
    story.asn("N", {"1": 5}, eta=DAY)
    story.receive(2, asn=("N", ""))

    assert (2, 5) == (story.position().on_hand, story.position().inbound)
