"""ETAs and ASN lines: R16 to R18."""

from bostream.domain.sku.book import Rules
from bostream.domain.sku.events import LineDemand, ScanType, ShipPolicy, Terms
from bostream.domain.sku.outcomes import EtaMoved, EtaTold, InboundStated, Outcome
from tests.domain.sku.harness import DAY, HOUR, SKU, Story, discrepancies


def moved(outcomes: list[Outcome]) -> list[tuple[str, int | None, str | None]]:
    """Return whose ETA moved, where to, and by which ASN line."""
    return [(o.order_id, o.eta, o.source) for o in outcomes if isinstance(o, EtaMoved)]


def told(outcomes: list[Outcome]) -> list[tuple[str, int | None]]:
    """Return which ETAs are told."""
    return [(o.order_id, o.eta) for o in outcomes if isinstance(o, EtaTold)]


def test_a_line_waits_for_the_asn_line_that_covers_its_last_unit() -> None:
    story = Story()
    story.place("A", 5)
    story.asn("late", {"1": 3}, eta=4 * DAY)
    assert story.line("A").eta is None

    assert [("A", 4 * DAY, "late/1")] == moved(story.asn("soon", {"1": 2}, eta=3 * DAY))


def test_asn_lines_of_the_same_day_come_in_the_order_of_their_ids() -> None:
    story = Story()
    story.place("A", 1)
    story.asn("b/1", {"1": 1}, eta=DAY)
    assert [("A", DAY, "a/1")] == moved(story.asn("a", {"1": 1}, eta=DAY))
    assert "a/1" == story.line("A").eta_source

    assert [("A", DAY, "b%2F1/1")] == moved(story.asn("a", {}, eta=DAY))


def test_supply_at_a_location_is_for_those_who_allow_it() -> None:
    story = Story()
    story.place("far", 1, at=6 * HOUR, locations=("W2",))
    story.place("near", 1, at=8 * HOUR, locations=("W1", "W3"))
    story.place("any", 1, at=7 * HOUR)

    assert [("any", DAY, "N/1"), ("near", DAY, "N/1")] == moved(story.asn("N", {"1": 9}, eta=DAY))


def test_free_stock_left_over_counts_before_supply_and_whole_lines_as_partial() -> None:
    story = Story()
    story.place("whole", 4, at=6 * HOUR, policy=ShipPolicy.LINE_COMPLETE)
    story.receive(2, "W1")
    story.receive(1, "W2")

    assert [("whole", DAY, "N/1")] == moved(story.asn("N", {"1": 1}, eta=DAY))


def test_free_stock_that_nobody_waiting_may_have_stays_out_of_the_promise() -> None:
    story = Story()
    story.place("A", 4, at=6 * HOUR, locations=("W1",))
    story.receive(5, "W2")

    assert [] == moved(story.asn("N", {"1": 3}, eta=DAY))


def test_free_stock_is_left_for_the_next_when_the_first_needs_less() -> None:
    story = Story()
    story.place("A", 3, at=6 * HOUR, policy=ShipPolicy.LINE_COMPLETE, locations=("W1", "W2"))
    story.place("B", 9, at=7 * HOUR, policy=ShipPolicy.LINE_COMPLETE, locations=("W1", "W2", "W3"))
    story.receive(2, "W1")
    story.receive(6, "W3")

    # A takes 2 of W1; B has W3's 6; one more for A, three for B.
    assert [("A", DAY, "N/1")] == moved(story.asn("N", {"1": 3}, eta=DAY))
    assert [("B", 2 * DAY, "N2/1")] == moved(story.asn("N2", {"1": 1}, eta=2 * DAY))


def test_the_entries_of_a_whole_line_take_supply_at_their_own_ranks() -> None:
    story = Story()
    story.place("A", 1, at=6 * HOUR, policy=ShipPolicy.LINE_COMPLETE)
    story.place("B", 1, at=8 * HOUR)
    story.more("A", 1, at=10 * HOUR)
    story.asn("N1", {"1": 1}, eta=1 * DAY)
    story.asn("N2", {"1": 1}, eta=2 * DAY)
    story.asn("N3", {"1": 1}, eta=3 * DAY)

    assert (3 * DAY, 2 * DAY) == (story.line("A").eta, story.line("B").eta)


def test_supply_pays_the_deficit_of_its_location_before_it_is_promised() -> None:
    story = Story()
    story.place("A", 2)
    story.scan(ScanType.ADJUSTED, -3, location="W1")
    story.asn("N1", {"1": 2}, eta=1 * DAY, location="W1")
    assert story.line("A").eta is None
    story.asn("N2", {"1": 2}, eta=2 * DAY, location="W1")
    assert story.line("A").eta is None

    assert [("A", 3 * DAY, "N3/1")] == moved(story.asn("N3", {"1": 1}, eta=3 * DAY, location="W2"))
    assert [("A", 2 * DAY, "N2/1")] == moved(story.scan(ScanType.ADJUSTED, 1, location="W1"))


def test_a_served_line_has_no_eta_any_more() -> None:
    story = Story()
    story.place("A", 2)
    story.asn("N", {"1": 2}, eta=DAY)

    outcomes = story.receive(2, asn=("N", "1"))

    assert [("A", None, None)] == moved(outcomes)
    assert [("A", None)] == told(outcomes)


def test_a_promise_that_never_was_is_not_taken_back() -> None:
    story = Story()
    story.place("A", 2, at=8 * HOUR)
    story.place("B", 2, at=9 * HOUR)
    story.asn("N", {"1": 2}, eta=DAY)

    assert [("B", DAY, "N/1")] == moved(story.amend("A", LineDemand("1", cancel=2)))[1:]
    story.cancel("B")
    assert [] == moved(story.asn("N", {"1": 3}, eta=DAY))


def test_small_moves_add_up_until_they_are_worth_telling() -> None:
    story = Story(Rules(eta_change_threshold=DAY))
    story.place("A", 1)
    assert [("A", 5 * DAY)] == told(story.asn("N", {"1": 1}, eta=5 * DAY))
    assert [] == told(story.asn("N", {"1": 1}, eta=5 * DAY + 23 * HOUR))
    assert [] == told(story.asn("N", {"1": 1}, eta=5 * DAY))
    assert [("A", 6 * DAY)] == told(story.asn("N", {"1": 1}, eta=6 * DAY))

    assert [("A", 5 * DAY)] == told(story.asn("N", {"1": 1}, eta=5 * DAY))


def test_priority_moves_promises() -> None:
    story = Story()
    story.place("A", 1, at=8 * HOUR)
    story.place("B", 1, at=9 * HOUR)
    story.asn("N", {"1": 1}, eta=DAY)

    outcomes = story.amend("B", LineDemand("1"), terms=Terms(2, 9 * HOUR, priority=0))

    assert [("B", DAY, "N/1"), ("A", None, None)] == moved(outcomes)


def test_an_asn_that_reads_as_before_says_nothing() -> None:
    story = Story()
    story.place("A", 1)
    story.asn("N", {"1": 1, "2": 0}, eta=DAY)
    before = story.state.rows()

    assert [] == story.asn("N", {"1": 1, "2": 0}, eta=DAY)
    assert before == story.state.rows()


def test_an_asn_may_move_to_another_location_and_day() -> None:
    story = Story()
    story.asn("N", {"1": 4}, eta=DAY, location="W1")
    story.asn("N", {"1": 4}, eta=2 * DAY, location="W2")

    assert (0, None) == (story.position("W1").inbound, story.position("W1").next_eta)
    assert (4, 2 * DAY) == (story.position("W2").inbound, story.position("W2").next_eta)


def test_the_next_eta_is_that_of_the_location_itself() -> None:
    story = Story()
    story.asn("N1", {"1": 1}, eta=DAY, location="W1")
    story.asn("N2", {"1": 1}, eta=2 * DAY, location="W2")

    assert 2 * DAY == story.position("W2").next_eta


def test_a_line_left_out_of_the_notice_is_withdrawn() -> None:
    story = Story()
    story.asn("N", {"1": 2, "2": 3}, eta=DAY)

    outcomes = story.asn("N", {"1": 2}, eta=DAY)

    assert [("2", 0)] == [(o.line.line_id, o.line.quantity) for o in outcomes if isinstance(o, InboundStated)]
    assert 2 == story.position().inbound


def test_both_differences_are_told_when_the_asn_ends_and_not_before() -> None:
    story = Story()
    story.asn("N", {"1": 2, "2": 3, "3": 1}, eta=DAY)
    over = story.receive(3, asn=("N", "1"))
    under = story.receive(1, asn=("N", "2"))
    story.receive(1, asn=("N", "3"))
    assert [] == discrepancies(over + under)

    outcomes = story.asn("N", {"1": 2, "2": 3, "3": 1}, eta=DAY, closed=True)

    assert ["RECEIPT_DISCREPANCY", "RECEIPT_DISCREPANCY"] == discrepancies(outcomes)
    assert 0 == story.position().inbound


def test_an_end_that_names_no_lines_ends_those_that_are_known() -> None:
    story = Story()
    story.asn("N", {"1": 2}, eta=DAY)
    story.receive(2, asn=("N", "1"))

    assert [] == discrepancies(story.asn("N", {}, eta=DAY, closed=True))


def test_a_line_that_is_announced_and_closed_at_once_tells_that_nothing_came() -> None:
    story = Story()

    assert ["RECEIPT_DISCREPANCY"] == discrepancies(story.asn("N", {"1": 2}, eta=DAY, closed=True))


def test_an_early_receipt_counts_when_its_notice_comes() -> None:
    story = Story()
    story.receive(2, asn=("N", "1"))
    story.receive(1, asn=("N", "1"))
    story.asn("N", {"1": 5}, eta=DAY)

    assert 2 == story.position().inbound


def test_a_receipt_after_the_end_changes_stock_only() -> None:
    story = Story()
    story.asn("N", {"1": 2}, eta=DAY, closed=True)

    assert [] == discrepancies(story.receive(2, asn=("N", "1")))
    assert (2, 0) == (story.position().on_hand, story.position().inbound)


def test_picking_and_shipping_allocated_units_moves_no_promise() -> None:
    story = Story()
    story.place("A", 2)
    story.receive(1)
    story.asn("N", {"1": 1}, eta=DAY)

    outcomes = story.scan(ScanType.PICKED, 1, "A") + story.scan(ScanType.SHIPPED, 1, "A")

    assert [] == moved(outcomes)
    assert DAY == story.line("A").eta


def test_a_location_expects_its_own_earliest_supply() -> None:
    story = Story()
    story.asn("N", {"1": 2}, eta=30 * DAY)
    story.asn("M", {"1": 2}, eta=20 * DAY)
    story.asn("L", {"1": 2}, eta=10 * DAY, location="W2")

    assert (4, 20 * DAY) == (story.position().inbound, story.position().next_eta)
    assert (2, 10 * DAY) == (story.position("W2").inbound, story.position("W2").next_eta)
    assert [story.position("W2"), story.position("W1")] == story.book.page(SKU).positions(["W2", "W1"])
    assert story.position("W3").next_eta is None


def test_a_line_that_is_partly_covered_gives_up_supply_at_a_location_that_it_allows_no_more() -> None:
    story = Story()
    story.place("A", 4, at=6 * HOUR)
    story.place("B", 3, at=7 * HOUR)
    story.asn("N1", {"1": 2}, eta=DAY, location="W1")
    story.asn("N2", {"1": 3}, eta=2 * DAY, location="W2")
    story.asn("N3", {"1": 2}, eta=3 * DAY, location="W1")
    assert (2 * DAY, 3 * DAY) == (story.line("A").eta, story.line("B").eta)

    narrower = Terms(2, 6 * HOUR, locations=("W1",))
    assert [("A", 3 * DAY, "N3/1"), ("B", 2 * DAY, "N2/1")] == moved(story.amend("A", LineDemand("1"), terms=narrower))


def test_where_a_line_would_rather_take_free_stock_decides_what_it_leaves_to_the_next() -> None:
    story = Story()
    story.place("A", 1, at=6 * HOUR, policy=ShipPolicy.LINE_COMPLETE, locations=("W1", "W2"))
    story.more("A", 5, at=10 * HOUR)
    story.place("B", 4, at=8 * HOUR, policy=ShipPolicy.LINE_COMPLETE, locations=("W1",))
    story.receive(2, "W1")
    story.receive(1, "W2")
    assert [] == moved(story.asn("N", {"1": 2}, eta=DAY))

    turned = Terms(2, 6 * HOUR, ship_policy=ShipPolicy.LINE_COMPLETE, locations=("W2", "W1"))
    assert [("B", DAY, "N/1")] == moved(story.amend("A", LineDemand("1"), terms=turned))
