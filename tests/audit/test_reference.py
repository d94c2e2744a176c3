"""The reference allocator against results worked out by hand, rule by rule."""

from bostream.audit.reference import ReferenceRules
from bostream.domain.sku.events import LineDemand
from tests.audit.story import DAY, Story, at, terms


def test_the_worked_example_of_the_rules() -> None:
    story = Story()
    assert [] == story.place("A", 5, priority=5, accepted="09:00")
    assert [] == story.place("B", 3, priority=1, accepted="09:10")
    assert [] == story.place("C", 4, priority=5, accepted="08:00", whole=True)
    assert ["ALLOCATED B 3 W1", "ALLOCATED A 3 W1"] == story.scan("RECEIVED", 6)
    assert ["ALLOCATED A 2 W1"] == story.scan("RECEIVED", 3)
    assert ["ALLOCATED C 4 W1"] == story.scan("RECEIVED", 3)
    assert ["DEALLOCATED A 3 W1"] == story.scan("COUNTED", 9, expected=12)
    assert ["COUNT_SHORTAGE"] == story.reasons()
    assert "on_hand=9 allocated=9 waiting=3" == story.stock()
    assert ["DEALLOCATED B 3 W1", "CANCELLED B 3", "ALLOCATED A 3 W1"] == story.cancel("B", terms=terms(priority=1))
    assert ["ORDER_CANCELLED", "ORDER_CANCELLED", "STOCK_FREED"] == story.reasons()


def test_r1_equal_rank_keys_are_decided_by_the_ids() -> None:
    story = Story()
    story.place("O10", 1)
    story.place("O2", 1)
    story.place("O1", 1)
    assert ["ALLOCATED O1 1 W1", "ALLOCATED O10 1 W1", "ALLOCATED O2 1 W1"] == story.scan("RECEIVED", 5)


def test_r2_an_older_order_that_comes_late_is_next_and_takes_nothing_back() -> None:
    story = Story()
    story.place("young", 3, accepted="09:30")
    assert ["ALLOCATED young 1 W1"] == story.scan("RECEIVED", 1)
    assert [] == story.place("old", 1, accepted="08:00")
    assert ["ALLOCATED old 1 W1", "ALLOCATED young 1 W1"] == story.scan("RECEIVED", 2)


def test_r3_a_newcomer_gets_free_stock_only_after_the_lines_before_it() -> None:
    story = Story()
    story.place("whole", 4, accepted="08:00", whole=True)
    assert [] == story.scan("RECEIVED", 3)
    assert ["ALLOCATED new 3 W1"] == story.place("new", 3, accepted="09:00")
    assert ["ORDER_PLACED"] == story.reasons()


def test_r5_raised_units_rank_later_and_leave_first() -> None:
    story = Story()
    story.place("A", 2, accepted="08:00")
    story.place("B", 2, accepted="09:00")
    assert [] == story.raise_by("A", 2, "09:30", terms(accepted="08:00"))
    assert ["ALLOCATED A 2 W1", "ALLOCATED B 2 W1", "ALLOCATED A 1 W1"] == story.scan("RECEIVED", 5)
    # A's third unit is the worst of all, B's the next.
    assert ["DEALLOCATED A 1 W1", "DEALLOCATED B 1 W1"] == story.scan("ADJUSTED", -2)
    # Amended down by 3: A's two waiting units of 09:30 vanish first, then one that it has.
    assert ["DEALLOCATED A 1 W1", "CANCELLED A 3", "ALLOCATED B 1 W1"] == story.cancel("A", 3, terms(accepted="08:00"))
    assert "ordered=4 allocated=1 cancelled=3" == story.line("A")


def test_r5_amended_down_the_worst_entry_vanishes_first() -> None:
    story = Story()
    story.place("A", 2, accepted="08:00")
    story.raise_by("A", 1, "09:30", terms(accepted="08:00"))
    story.place("B", 1, accepted="09:00")
    story.cancel("A", 1, terms(accepted="08:00"))
    assert ["ALLOCATED A 2 W1"] == story.scan("RECEIVED", 2)


def test_r5_all_lines_of_an_order_enter_before_any_is_served() -> None:
    story = Story()
    story.scan("RECEIVED", 2)
    changed = (LineDemand("1", add=2, seniority=at("09:00")), LineDemand("2", add=2, seniority=at("08:00")))
    assert ["ALLOCATED A 2 W1"] == story.change("A", *changed)
    assert "2" == story.facts[0].line_id


def test_r6_a_changed_priority_counts_for_the_next_unit_only() -> None:
    story = Story()
    story.place("A", 2, accepted="08:00")
    story.place("B", 2, accepted="09:00")
    story.scan("RECEIVED", 1)
    assert [] == story.change("B", LineDemand("1"), terms=terms(accepted="09:00", priority=1))
    assert ["ALLOCATED B 2 W1", "ALLOCATED A 1 W1"] == story.scan("RECEIVED", 3)


def test_r7_a_line_that_loses_units_keeps_its_rank() -> None:
    story = Story()
    story.place("A", 1, accepted="08:00")
    story.scan("RECEIVED", 1)
    story.place("B", 1, accepted="09:00")
    assert ["DEALLOCATED A 1 W1"] == story.scan("COUNTED", 0)
    assert ["ALLOCATED A 1 W1"] == story.scan("RECEIVED", 1)


def test_r8_a_list_is_followed_in_its_order_and_left_in_reverse() -> None:
    story = Story()
    story.scan("RECEIVED", 2, "W1")
    story.scan("RECEIVED", 2, "W2")
    story.scan("RECEIVED", 9, "W3")
    wanted = ("W2", "W1")
    assert ["ALLOCATED A 2 W2", "ALLOCATED A 2 W1"] == story.place("A", 5, locations=wanted)
    assert "ordered=5 allocated=4 waiting=1" == story.line("A")
    assert ["DEALLOCATED A 2 W1", "DEALLOCATED A 1 W2", "CANCELLED A 4"] == story.cancel(
        "A", 4, terms(locations=wanted)
    )


def test_r8_without_a_list_most_free_stock_first_and_least_free_left_first() -> None:
    story = Story()
    story.scan("RECEIVED", 2, "W1")
    story.scan("RECEIVED", 4, "W3")
    story.scan("RECEIVED", 4, "W2")
    # W2 and W3 tie: the lower id gives first; then W3 gives 3 and keeps 1, W1 is not needed.
    assert ["ALLOCATED A 4 W2", "ALLOCATED A 3 W3"] == story.place("A", 7)
    assert ["ALLOCATED B 2 W1"] == story.place("B", 2)
    # Free now: W1 0, W2 0, W3 1. A has units at W2 and W3: the least free place is left first.
    assert ["DEALLOCATED A 4 W2", "DEALLOCATED A 1 W3", "CANCELLED A 5"] == story.cancel("A", 5)


def test_r8_equal_places_without_a_list_are_left_by_the_greater_id_first() -> None:
    story = Story()
    story.scan("RECEIVED", 1, "W1")
    story.scan("RECEIVED", 1, "W2")
    assert ["ALLOCATED A 1 W1", "ALLOCATED A 1 W2"] == story.place("A", 2)
    assert ["DEALLOCATED A 1 W2", "CANCELLED A 1"] == story.cancel("A", 1)


def test_r8_units_at_a_location_that_the_list_does_not_name_leave_first() -> None:
    story = Story()
    story.scan("RECEIVED", 1, "W1")
    story.scan("RECEIVED", 1, "W2")
    story.place("A", 2)
    only = terms(locations=("W2",))
    assert [] == story.change("A", LineDemand("1"), terms=only)
    assert ["DEALLOCATED A 1 W1", "CANCELLED A 1"] == story.cancel("A", 1, only)


def test_r8_units_cancelled_by_an_amendment_leave_by_the_list_that_held_until_then() -> None:
    story = Story()
    story.scan("RECEIVED", 1, "W1")
    story.scan("RECEIVED", 1, "W2")
    story.place("A", 2, locations=("W1", "W2"))
    assert ["DEALLOCATED A 1 W2", "CANCELLED A 1"] == story.cancel("A", 1, terms(locations=("W2", "W1")))


def test_r9_line_complete_draws_on_several_locations_at_its_worst_rank() -> None:
    story = Story()
    story.place("W", 2, accepted="08:00", whole=True)
    story.place("P", 3, accepted="09:00")
    story.raise_by("W", 1, "09:30", terms(accepted="08:00", whole=True))
    story.scan("RECEIVED", 2, "W1")
    assert "ordered=3 allocated=2 waiting=1" == story.line("P")
    # P's last unit is before W, whose worst waiting unit is of 09:30.
    assert ["ALLOCATED P 1 W2"] == story.scan("RECEIVED", 3, "W2")
    assert ["ALLOCATED W 2 W2", "ALLOCATED W 1 W1"] == story.scan("RECEIVED", 1, "W1")


def test_r12_picked_units_stay_until_shipped_and_count_as_shipped() -> None:
    story = Story()
    story.scan("RECEIVED", 3)
    story.place("A", 5)
    story.scan("PICKED", 2, order="A")
    assert ["DEALLOCATED A 1 W1", "CANCELLED A 3"] == story.cancel("A")
    assert "ordered=5 allocated=2 picked=2 cancelled=3" == story.line("A")
    assert ["SHIPPED A 2 W1"] == story.scan("SHIPPED", 2, order="A")
    assert "ordered=5 shipped=2 cancelled=3" == story.line("A")


def test_r12_picked_units_that_come_back_are_cancelled_first_and_offered() -> None:
    story = Story()
    story.scan("RECEIVED", 3)
    story.place("A", 3)
    story.place("B", 9, accepted="09:30")
    story.scan("PICKED", 3, order="A")
    assert [] == story.cancel("A", 2)
    expected = ["UNPICKED A 3 W1", "DEALLOCATED A 2 W1", "CANCELLED A 2", "ALLOCATED B 2 W1"]
    assert expected == story.scan("UNPICKED", 9, order="A")
    assert "ordered=3 allocated=1 cancelled=2" == story.line("A")


def test_r12_wanted_units_are_shipped_before_unwanted_ones() -> None:
    story = Story()
    story.scan("RECEIVED", 4)
    story.place("A", 4)
    story.scan("PICKED", 4, order="A")
    story.cancel("A", 2)
    story.scan("SHIPPED", 1, order="A")
    assert ["UNPICKED A 3 W1", "DEALLOCATED A 2 W1", "CANCELLED A 2"] == story.scan("UNPICKED", 3, order="A")
    assert "ordered=4 allocated=1 shipped=1 cancelled=2" == story.line("A")


def test_r12_amended_up_again_the_line_gets_its_cancelled_picked_units_back() -> None:
    story = Story()
    story.scan("RECEIVED", 3)
    story.place("A", 3)
    story.scan("PICKED", 3, order="A")
    story.cancel("A", 2)
    assert [] == story.raise_by("A", 3, "09:30")
    assert "ordered=4 allocated=3 picked=3 waiting=1" == story.line("A")
    assert ["UNPICKED A 1 W1"] == story.scan("UNPICKED", 1, order="A")


def test_r13_a_deficit_of_picked_units_is_paid_by_the_next_supply() -> None:
    story = Story()
    story.scan("RECEIVED", 4)
    story.place("A", 4)
    story.scan("PICKED", 3, order="A")
    story.place("B", 2, accepted="09:30")
    assert ["DEALLOCATED A 1 W1"] == story.scan("COUNTED", 1)
    assert "on_hand=1 allocated=3 picked=3 deficit=2 waiting=3" == story.stock()
    assert ["ALLOCATED A 1 W1", "ALLOCATED B 1 W1"] == story.scan("RECEIVED", 4)


def test_r13_units_no_longer_picked_are_taken_back_while_a_deficit_stands() -> None:
    story = Story()
    story.scan("RECEIVED", 3)
    story.place("A", 3)
    story.scan("PICKED", 3, order="A")
    story.scan("COUNTED", 1)
    assert ["UNPICKED A 1 W1", "DEALLOCATED A 1 W1"] == story.scan("UNPICKED", 1, order="A")
    assert "on_hand=1 allocated=2 picked=2 deficit=1 waiting=1" == story.stock()


def test_r13_every_way_to_lose_stock_has_its_reason() -> None:
    for kind, quantity, reason in (
        ("ADJUSTED", -1, "COUNT_SHORTAGE"),
        ("COUNTED", 0, "COUNT_SHORTAGE"),
        ("QUARANTINED", 1, "QUARANTINE"),
        ("TRANSFERRED_OUT", 1, "TRANSFER"),
    ):
        story = Story()
        story.scan("RECEIVED", 1)
        story.place("A", 1)
        assert ["DEALLOCATED A 1 W1"] == story.scan(kind, quantity)
        assert [reason] == story.reasons()


def test_r14_more_picked_than_allocated_takes_free_stock_then_the_worst_line_then_a_deficit() -> None:
    story = Story()
    story.place("A", 2, accepted="08:00")
    story.place("B", 2, accepted="09:00")
    story.scan("RECEIVED", 4)
    story.place("C", 9, accepted="09:30", locations=("W9",))
    story.scan("RECEIVED", 1)
    expected = ["ALLOCATED C 6 W1", "PICKED C 6 W1", "DEALLOCATED B 2 W1", "DEALLOCATED A 2 W1"]
    assert expected == story.scan("PICKED", 6, order="C")
    assert "on_hand=5 allocated=6 picked=6 deficit=1 waiting=4" == story.stock()


def test_r14_what_exceeds_the_demand_moves_from_other_locations_then_raises_ordered() -> None:
    story = Story()
    story.scan("RECEIVED", 2, "W2")
    story.place("A", 3)
    story.scan("RECEIVED", 9, "W1", asn=None)
    assert "ordered=3 allocated=3" == story.line("A")
    # It has 2 at W2 and 1 at W1. Four leave W1: the unit there, the two of W2, and one nobody had asked for.
    expected = ["DEALLOCATED A 2 W2", "ALLOCATED A 3 W1", "SHIPPED A 4 W1"]
    assert expected == story.scan("SHIPPED", 4, "W1", order="A")
    assert "ordered=4 shipped=4" == story.line("A")
    assert "on_hand=5" == story.stock("W1")
    assert "on_hand=2" == story.stock("W2")


def test_r14_a_unit_that_only_a_scan_asked_for_ranks_as_late_as_the_scan() -> None:
    story = Story()
    story.scan("RECEIVED", 3)
    story.place("A", 2, accepted="09:00")
    story.scan("PICKED", 3, order="A")
    story.scan("UNPICKED", 3, order="A")
    story.place("B", 1, accepted="09:30")
    story.scan("RECEIVED", 1)
    assert ["DEALLOCATED A 1 W1"] == story.scan("ADJUSTED", -1)
    assert ["DEALLOCATED B 1 W1"] == story.scan("ADJUSTED", -1)


def test_r15_scans_of_an_unknown_line_move_stock_and_are_set_against_it_when_it_comes() -> None:
    story = Story()
    story.scan("RECEIVED", 5)
    assert [] == story.scan("PICKED", 2, order="A")
    assert [] == story.scan("SHIPPED", 2, order="A")
    assert "on_hand=3" == story.stock()
    expected = ["ALLOCATED A 2 W1", "PICKED A 2 W1", "SHIPPED A 2 W1", "ALLOCATED A 1 W1"]
    assert expected == story.place("A", 3)
    assert "on_hand=3 allocated=1" == story.stock()
    assert "ordered=3 allocated=1 shipped=2" == story.line("A")


def test_r15_scans_of_an_unknown_line_are_given_up_after_the_horizon() -> None:
    story = Story(ReferenceRules(duplicate_horizon=DAY))
    story.scan("RECEIVED", 5)
    story.scan("SHIPPED", 2, order="A")
    story.wait(2 * DAY)
    assert ["ALLOCATED A 3 W1"] == story.place("A", 4)
    assert "ordered=4 allocated=3 waiting=1" == story.line("A")


def test_r15_scans_of_a_closed_line_move_stock_only() -> None:
    story = Story()
    story.scan("RECEIVED", 2)
    story.place("A", 1)
    story.scan("SHIPPED", 1, order="A")
    assert [] == story.scan("SHIPPED", 1, order="A")
    assert [] == story.scan("PICKED", 1, order="A")
    assert "" == story.stock()
    assert "ordered=1 shipped=1" == story.line("A")


def test_a_line_is_forgotten_after_its_retention() -> None:
    story = Story(ReferenceRules(retention=DAY))
    story.place("A", 1)
    story.cancel("A")
    story.wait(2 * DAY)
    story.scan("RECEIVED", 1)
    assert {} == story.book.lines()


def test_shorted_units_are_lost_and_the_line_waits_again() -> None:
    story = Story()
    story.scan("RECEIVED", 4)
    story.place("A", 4)
    story.scan("PICKED", 2, order="A")
    assert ["UNPICKED A 1 W1", "DEALLOCATED A 3 W1"] == story.scan("SHORTED", 3, order="A")
    assert ["SCANNED", "PICK_SHORTAGE"] == story.reasons()
    assert "on_hand=1 allocated=1 picked=1 waiting=3" == story.stock()
    # More than it has: on hand falls by all of it.
    assert ["UNPICKED A 1 W1", "DEALLOCATED A 1 W1"] == story.scan("SHORTED", 2, order="A")
    assert "on_hand=-1 deficit=1 waiting=4" == story.stock()


def test_shorted_units_that_were_cancelled_after_picking_end() -> None:
    story = Story()
    story.scan("RECEIVED", 3)
    story.place("A", 3)
    story.scan("PICKED", 3, order="A")
    story.cancel("A", 1)
    assert ["UNPICKED A 2 W1", "DEALLOCATED A 2 W1", "CANCELLED A 1"] == story.scan("SHORTED", 2, order="A")
    assert "ordered=3 allocated=1 picked=1 cancelled=1 waiting=1" == story.line("A")


def test_quarantine_counts_what_it_holds_and_stops_at_nothing() -> None:
    story = Story()
    story.scan("RECEIVED", 3)
    story.scan("QUARANTINED", 2)
    assert "on_hand=1 quarantined=2" == story.stock()
    story.place("A", 9)
    assert ["ALLOCATED A 5 W1"] == story.scan("UNQUARANTINED", 5)
    assert ["UNQUARANTINED"] == story.reasons()
    assert "on_hand=6 allocated=6 waiting=3" == story.stock()


def test_a_count_is_a_difference_to_what_the_counter_believed() -> None:
    story = Story()
    story.scan("RECEIVED", 5)
    story.scan("COUNTED", 4, expected=2)
    assert "on_hand=7" == story.stock()
    story.scan("COUNTED", 4)
    assert "on_hand=4" == story.stock()


def test_i8_a_scan_seen_again_changes_nothing() -> None:
    story = Story()
    story.scan("RECEIVED", 2, event_id="twice")
    assert [] == story.scan("RECEIVED", 2, event_id="twice")
    assert "on_hand=2" == story.stock()
    assert frozenset({("", "twice")}) == story.book.seen()


def test_i8_a_scan_seen_again_after_the_horizon_is_a_new_one() -> None:
    story = Story(ReferenceRules(duplicate_horizon=DAY))
    story.scan("RECEIVED", 2, event_id="twice")
    story.wait(2 * DAY)
    story.scan("RECEIVED", 2, event_id="twice")
    assert "on_hand=4" == story.stock()


def test_r16_receipts_early_over_and_short() -> None:
    story = Story()
    story.scan("RECEIVED", 3, asn=("N", "1"))
    story.announce("N", "12:00", 5, 4)
    assert "on_hand=3 inbound=6" == story.stock()
    story.scan("RECEIVED", 7, "W2", asn=("N", "1"))
    assert "on_hand=3 inbound=4" == story.stock()
    story.announce("N", "12:00", 20)
    assert "on_hand=3 inbound=10" == story.stock()
    story.announce("N", "12:00", 20, closed=True)
    assert "on_hand=3" == story.stock()


def test_r17_the_eta_is_that_of_the_line_that_covers_the_last_unit() -> None:
    story = Story()
    story.place("A", 3, accepted="08:00")
    story.place("B", 3, accepted="09:00")
    story.announce("late", "15:00", 2)
    story.announce("early", "12:00", 2, 1)
    assert (at("12:00"), "early/2") == story.eta("A")
    assert story.eta("B") is None
    story.announce("last", "16:00", 1)
    assert (at("16:00"), "last/1") == story.eta("B")


def test_r17_stock_left_over_counts_first_in_rank_order() -> None:
    story = Story()
    story.place("A", 4, accepted="08:00", whole=True)
    story.place("B", 4, accepted="09:00", whole=True)
    story.scan("RECEIVED", 3)
    story.announce("N", "12:00", 1)
    assert (at("12:00"), "N/1") == story.eta("A")
    assert story.eta("B") is None


def test_r17_inbound_for_another_location_is_no_promise() -> None:
    story = Story()
    story.place("A", 1, locations=("W2",))
    story.announce("N", "12:00", 5, location="W1")
    assert story.eta("A") is None


def test_r17_inbound_pays_a_deficit_before_it_is_promised() -> None:
    story = Story()
    story.scan("COUNTED", 0, expected=2)
    story.place("A", 1)
    story.announce("N", "12:00", 2)
    assert story.eta("A") is None
    story.announce("N", "12:00", 3)
    assert (at("12:00"), "N/1") == story.eta("A")


def test_i11_the_facts_number_the_sku_and_carry_what_stands_after_them() -> None:
    story = Story()
    story.scan("RECEIVED", 3)
    story.place("A", 2)
    fact = story.facts[0]
    assert (1, 3, 1, 2) == (fact.sku_sequence, fact.on_hand_after, fact.available_after, fact.totals.allocated)
    story.cancel("A")
    assert [(2, "W1", 3, 3), (3, "", 0, 0)] == [
        (f.sku_sequence, f.location, f.on_hand_after, f.available_after) for f in story.facts
    ]
