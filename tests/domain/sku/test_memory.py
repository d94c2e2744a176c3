"""What a book remembers and for how long, and what it refuses: I8, R15, R21."""

import pytest

from bostream.domain.keys import pack
from bostream.domain.sku import timers
from bostream.domain.sku.book import LOCATIONS_PACKED_MAX, PAGES_MAX, Rules
from bostream.domain.sku.events import InboundLine, ScanType, StockScanned, Terms
from bostream.domain.sku.evolve import evolve
from bostream.domain.sku.handle import fire, handle
from bostream.domain.sku.outcomes import (
    EventsForgotten,
    InboundForgotten,
    InboundStated,
    LineForgotten,
    Outcome,
    Reason,
    ScansUnparked,
    TermsChanged,
    UnitsAllocated,
    UnitsCancelled,
    UnitsPicked,
)
from bostream.domain.sku.state import HOLDERS, INBOUND, LINES, QUEUE, SEEN
from bostream.domain.state import TIMERS, Timer
from bostream.errors import InvariantError
from tests.domain.sku.harness import DAY, HOUR, MINUTE, SKU, Story, discrepancies


def test_a_repeat_is_known_up_to_the_horizon_and_new_after_it() -> None:
    story = Story(Rules(duplicate_horizon=HOUR))
    story.scan(ScanType.RECEIVED, 1, event_id="once")
    story.pass_time(59 * MINUTE)
    assert [] == story.scan(ScanType.RECEIVED, 1, event_id="once")

    story.scan(ScanType.RECEIVED, 1, event_id="once")

    assert 2 == story.position().on_hand


def test_the_same_id_of_another_source_is_another_event() -> None:
    story = Story()
    story.scan(ScanType.RECEIVED, 1, event_id="once")

    assert not story.book.page(SKU).has_seen("other", "once", story.now)
    assert story.book.page(SKU).has_seen("wms", "once", story.now)


def test_old_generations_are_swept_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bostream.domain.sku.decide_timer.SWEEP_ROWS_MAX", 2)
    story = Story(Rules(duplicate_horizon=HOUR))
    story.pass_time(HOUR - story.now % HOUR)
    for _ in range(5):
        story.receive(1)
    assert 5 == len(list(story.state.table(SEEN).scan(b"")))
    story.pass_time(HOUR)
    assert 5 == len(list(story.state.table(SEEN).scan(b"")))

    outcomes = story.pass_time(HOUR)

    assert 3 == sum(isinstance(outcome, EventsForgotten) for outcome in outcomes)
    assert [] == list(story.state.table(SEEN).scan(b""))
    assert [] == list(story.state.table(TIMERS).scan(b""))


def test_parked_scans_are_given_up_one_by_one_at_their_own_horizons() -> None:
    story = Story(Rules(duplicate_horizon=HOUR))
    story.scan(ScanType.PICKED, 1, "X")
    story.pass_time(30 * MINUTE)
    story.scan(ScanType.PICKED, 2, "X")
    assert ["DISCREPANCY"] == discrepancies(story.pass_time(40 * MINUTE))

    assert ["DISCREPANCY"] == discrepancies(story.pass_time(40 * MINUTE))


def test_scans_parked_at_the_same_moment_share_a_timer() -> None:
    story = Story(Rules(duplicate_horizon=HOUR))
    for number in range(2):
        scan = StockScanned(
            story.cause("inventory-scans/PICKED"), SKU, ScanType.PICKED, "W1", 1, "wms", order_id="A", line_id="1"
        )
        assert 2 == len(list(handle(story.book, scan, story.now))), number

    assert ["DISCREPANCY", "DISCREPANCY"] == discrepancies(story.pass_time(HOUR))


def test_parked_scans_that_found_their_line_are_not_given_up() -> None:
    story = Story(Rules(duplicate_horizon=HOUR))
    story.scan(ScanType.PICKED, 1, "X")
    story.place("X", 1)

    assert [] == discrepancies(story.pass_time(2 * HOUR))


def test_a_timer_of_parked_scans_that_fires_early_does_nothing() -> None:
    story = Story(Rules(duplicate_horizon=HOUR))
    story.scan(ScanType.PICKED, 1, "X")

    assert [] == list(fire(story.book, Timer(0, timers.SCANS_PARKED, (SKU, "X", "1")), story.now))


def test_a_closed_line_is_forgotten_after_the_retention() -> None:
    story = Story(Rules(closed_retention=DAY))
    story.place("A", 1)
    story.cancel("A")
    story.pass_time(DAY - 1)
    assert "A" == story.line("A").order_id

    assert [LineForgotten("A", "1")] == [o for o in story.pass_time(1) if isinstance(o, LineForgotten)]
    assert [] == list(story.state.table(LINES).scan(b""))


def test_a_line_that_opened_again_is_kept() -> None:
    story = Story(Rules(closed_retention=DAY))
    story.place("A", 1)
    story.cancel("A")
    story.pass_time(HOUR)
    story.more("A", 1, at=9 * HOUR)
    assert [] == story.pass_time(2 * DAY)
    story.cancel("A")
    story.pass_time(HOUR)
    story.more("A", 1, at=9 * HOUR)
    story.pass_time(HOUR)
    story.cancel("A")
    assert [] == story.pass_time(DAY - 1)

    assert [LineForgotten("A", "1")] == story.pass_time(1)
    assert [] == list(fire(story.book, Timer(0, timers.LINE_CLOSED, (SKU, "A", "1")), story.now))


def test_asn_lines_are_forgotten_after_the_retention_once_they_ended_or_never_came() -> None:
    story = Story(Rules(closed_retention=DAY))
    story.asn("ended", {"1": 1}, eta=DAY)
    story.asn("ended", {"1": 1}, eta=DAY, closed=True)
    story.receive(1, asn=("never", "1"))
    story.receive(1, asn=("later", "1"))
    story.asn("later", {"1": 3}, eta=DAY)
    story.pass_time(HOUR)
    story.receive(1, asn=("ended", "1"))

    outcomes = story.pass_time(DAY)

    forgotten = [outcome.asn_id for outcome in outcomes if isinstance(outcome, InboundForgotten)]
    assert ["ended", "never"] == forgotten
    assert ["later"] == [row.asn_id for _, row in story.state.table(INBOUND).scan(b"")]
    assert [] == list(fire(story.book, Timer(0, timers.INBOUND_SETTLED, (SKU, "ended", "1")), story.now))


def test_an_asn_line_is_kept_for_the_retention_from_its_end_even_if_it_was_received_before_any_notice() -> None:
    story = Story(Rules(closed_retention=DAY))
    story.receive(1, asn=("N", "1"))
    story.receive(1, asn=("N", "2"))
    story.pass_time(DAY - HOUR)
    story.asn("N", {"1": 1}, eta=9 * DAY, closed=True)

    story.pass_time(HOUR)
    assert story.book.page(SKU).inbound("N", "1") is not None
    # The end of the ASN says nothing of a line that no notice ever named.
    assert story.book.page(SKU).inbound("N", "2") is None

    story.pass_time(DAY)
    assert story.book.page(SKU).inbound("N", "1") is None


def test_a_timer_of_an_asn_line_that_ended_again_later_waits_for_the_later_end() -> None:
    story = Story(Rules(closed_retention=DAY))
    story.asn("N", {"1": 1}, eta=DAY, closed=True)
    story.pass_time(HOUR)
    story.asn("N", {"1": 2}, eta=DAY)
    story.asn("N", {"1": 2}, eta=DAY, closed=True)

    assert [] == story.pass_time(DAY - HOUR)
    assert [InboundForgotten("N", "1")] == story.pass_time(HOUR)


def test_a_timer_of_another_kind_is_a_bug() -> None:
    with pytest.raises(InvariantError, match="no timer of kind"):
        list(fire(Story().book, Timer(0, "tea", (SKU, "A", "1")), 0))


@pytest.mark.parametrize(
    ("outcome", "complaint"),
    [
        (UnitsPicked("A", "1", "W1", 1), "cannot do"),
        (UnitsCancelled("A", "1", 3, Reason.ORDER_CANCELLED), "2 wait"),
        (UnitsAllocated("A", "1", "W1", 3, Reason.SCANNED, "", 0), "more than it ordered"),
        (UnitsPicked("B", "1", "W1", 1), "knows no line"),
        (ScansUnparked("B", "1", 1), "no parked scans"),
    ],
)
def test_an_outcome_that_contradicts_the_book_is_a_bug(outcome: Outcome, complaint: str) -> None:
    story = Story()
    story.place("A", 2)

    with pytest.raises(InvariantError, match=complaint):
        evolve(story.book.page(SKU), outcome, story.now)


def test_a_row_without_its_line_is_a_bug() -> None:
    story = Story()
    story.place("A", 2)
    story.state.table(LINES).delete(pack(SKU, "A", "1"))

    with pytest.raises(InvariantError, match="knows no line"):
        story.receive(1)


def test_a_lane_without_rows_is_a_bug() -> None:
    story = Story()
    story.place("A", 2)
    story.state.table(QUEUE).delete(next(key for key, _ in story.state.table(QUEUE).scan(b"")))

    with pytest.raises(InvariantError, match="has no rows"):
        story.receive(1)


def test_allocated_units_that_nobody_holds_are_a_bug() -> None:
    story = Story()
    story.place("A", 2)
    story.receive(2)
    story.state.table(HOLDERS).delete(next(key for key, _ in story.state.table(HOLDERS).scan(b"")))

    with pytest.raises(InvariantError, match="nobody holds"):
        story.scan(ScanType.ADJUSTED, -1)


def test_a_holder_without_units_is_a_bug() -> None:
    story = Story()
    story.place("A", 2)
    story.receive(2)
    line = story.book.page(SKU).known_line("A", "1")
    line.places.clear()
    story.state.table(LINES).put(pack(SKU, "A", "1"), line)

    with pytest.raises(InvariantError, match="without units"):
        story.scan(ScanType.ADJUSTED, -1)


def test_books_of_different_skus_do_not_meet_even_when_one_name_begins_with_the_other() -> None:
    story = Story()
    story.place("A", 1, sku="S\x00T")
    story.place("A", 1, sku="ST")
    story.receive(5)

    assert 0 == story.book.sequence("S\x00T")
    assert 0 == story.book.sequence("ST")
    assert 1 == story.book.totals("ST").waiting_lines


def test_what_is_remembered_of_keys_is_bounded_and_may_be_forgotten() -> None:
    story = Story()
    story.receive(3)
    page = story.book.page(SKU)
    keys = [page.stock_key(f"L{number}") for number in range(LOCATIONS_PACKED_MAX)]
    for number in range(PAGES_MAX):
        story.book.page(f"other-{number}")

    assert keys == [page.stock_key(f"L{number}") for number in range(LOCATIONS_PACKED_MAX)]
    assert page is not story.book.page(SKU)
    assert 3 == story.position().on_hand
    assert len(story.book.pages) <= PAGES_MAX


def test_evolving_needs_nothing_but_the_book_and_the_outcome() -> None:
    story = Story()
    page = story.book.page(SKU)
    evolve(page, TermsChanged("A", "1", Terms(1, 9 * HOUR)), story.now)
    evolve(page, InboundStated("N", "W1", DAY, InboundLine("1", 5), closed=False), story.now)

    assert 5 == story.position().inbound
    assert story.line("A").status is None
    assert story.line("A").rank.startswith("PRIORITY=5")
