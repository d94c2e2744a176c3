"""Versions, differences between whole documents, cancellation, moved lines."""

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from bostream.domain.documents.decide import decide
from bostream.domain.documents.desk import APPLIED_EVENTS_MAX, DeskRules
from bostream.domain.documents.events import OrderAction, OrderReceived
from bostream.domain.documents.evolve import evolve
from bostream.domain.documents.notices import customer_notice
from bostream.domain.documents.outcomes import DemandSent, LineNoted, NoticeIssued, NoticeType
from bostream.domain.sku.events import DemandChanged, DemandReason, LineDemand, LineRefreshed, Terms
from bostream.errors import BadRecordError, ConfigurationError, InvariantError
from tests.domain.documents.support import (
    ACCEPTED,
    DAY,
    SECOND,
    DeskInMemory,
    cancel,
    demands,
    notices,
    order,
    refreshes,
    report,
)


def lines_by_sku(told: list) -> dict[str, tuple[LineDemand, ...]]:  # type: ignore[type-arg]
    return {demand.sku: demand.lines for demand in demands(told)}


def test_a_placed_order_asks_each_sku_once_for_all_its_lines_in_line_id_order() -> None:
    desk = DeskInMemory()
    told = desk.tell(order(1, ("10", "S", 5), ("2", "T", 1), ("1", "S", 3)))
    assert {
        "S": (LineDemand("1", add=3, seniority=ACCEPTED), LineDemand("10", add=5, seniority=ACCEPTED)),
        "T": (LineDemand("2", add=1, seniority=ACCEPTED),),
    } == lines_by_sku(told)
    assert ["S", "T"] == [demand.sku for demand in demands(told)]
    assert {DemandReason.ORDER_PLACED} == {demand.reason for demand in demands(told)}


def test_an_amended_unknown_order_is_a_placed_order() -> None:
    desk = DeskInMemory()
    (demand,) = demands(desk.tell(order(4, ("1", "S", 5))))
    assert (DemandReason.ORDER_PLACED, LineDemand("1", add=5, seniority=ACCEPTED)) == (demand.reason, demand.lines[0])


def test_a_raised_line_adds_the_difference_at_the_time_of_the_amendment() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5)))
    (demand,) = demands(desk.tell(order(2, ("1", "S", 8), occurred_at=300 * SECOND)))
    assert (LineDemand("1", add=3, seniority=300 * SECOND),) == demand.lines
    assert DemandReason.ORDER_AMENDED == demand.reason


def test_an_amendment_that_claims_to_be_older_than_the_order_ranks_by_accepted_at() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5)))
    (demand,) = demands(desk.tell(order(2, ("1", "S", 8), occurred_at=1)))
    assert (LineDemand("1", add=3, seniority=ACCEPTED),) == demand.lines


def test_a_lowered_line_cancels_the_difference_and_zero_or_left_out_ends_it() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5), ("2", "S", 5), ("3", "S", 5), ("4", "S", 5)))
    told = desk.tell(order(2, ("1", "S", 2), ("2", "S", 0), ("4", "S", 5)))
    assert {"S": (LineDemand("1", cancel=3), LineDemand("2", ends=True), LineDemand("3", ends=True))} == lines_by_sku(
        told
    )


def test_a_line_left_out_and_back_again_is_a_difference_from_zero() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5), ("2", "S", 1)))
    desk.tell(order(2, ("2", "S", 1)))
    told = desk.tell(order(3, ("1", "S", 5), ("2", "S", 1), occurred_at=400 * SECOND))
    assert {"S": (LineDemand("1", add=5, seniority=400 * SECOND),)} == lines_by_sku(told)


def test_a_line_that_was_zero_and_is_zero_is_asked_of_nobody() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5), ("2", "T", 0)))
    assert {("1", "S"): 5} == desk.wanted()
    assert [] == demands(desk.tell(order(2, ("1", "S", 5), ("2", "U", 0))))
    desk.tell(order(3))
    assert [] == demands(desk.tell(order(4, ("1", "S", 0))))


def test_a_line_with_another_sku_is_moved_from_the_old_and_added_to_the_new() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5)))
    told = desk.tell(order(2, ("1", "A", 4), occurred_at=300 * SECOND))
    assert {
        "A": (LineDemand("1", add=4, seniority=300 * SECOND),),
        "S": (LineDemand("1", ends=True, moved=True),),
    } == lines_by_sku(told)
    back = desk.tell(order(3, ("1", "S", 2), occurred_at=310 * SECOND))
    assert {
        "A": (LineDemand("1", ends=True, moved=True),),
        "S": (LineDemand("1", add=2, seniority=310 * SECOND),),
    } == lines_by_sku(back)
    assert {("1", "S"): 2} == desk.wanted()


def test_a_line_that_ended_is_moved_too_when_it_comes_back_under_another_sku() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5)))
    desk.tell(order(2, ("1", "T", 0)))
    told = desk.tell(order(3, ("1", "T", 1)))
    assert (LineDemand("1", ends=True, moved=True),) == lines_by_sku(told)["S"]


def test_when_the_old_sku_lets_go_the_new_one_is_asked_to_publish_again() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5)))
    desk.tell(order(2, ("1", "T", 5)))
    told = desk.tell(report(sku="S", cancelled=5, let_go=True, cause="why"))
    (refresh,) = refreshes(told)
    assert ("T", "O1", "1", "why") == (refresh.sku, refresh.order_id, refresh.line_id, refresh.cause.event_id)
    assert isinstance(refresh, LineRefreshed)


def test_changed_terms_are_told_to_every_line_that_may_wait_and_to_no_other() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5), ("2", "S", 5), ("3", "T", 5), ("4", "U", 1)))
    told = desk.tell(order(2, ("1", "S", 6), ("2", "S", 5), ("3", "T", 5), priority=1))
    assert {
        "S": (LineDemand("1", add=1, seniority=200 * SECOND), LineDemand("2")),
        "T": (LineDemand("3"),),
        "U": (LineDemand("4", ends=True),),
    } == lines_by_sku(told)
    assert {1} == {demand.terms.priority for demand in demands(told)}


def test_a_new_version_alone_is_told_to_nobody() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5)))
    assert [] == demands(desk.tell(order(2, ("1", "S", 5))))


def test_accepted_at_is_fixed_by_the_first_document() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5)))
    (demand,) = demands(desk.tell(order(2, ("1", "S", 6), accepted_at=1)))
    assert ACCEPTED == demand.terms.accepted_at
    assert [] == demands(desk.tell(order(3, ("1", "S", 6), accepted_at=2)))


def test_a_version_that_is_not_newer_is_ignored() -> None:
    desk = DeskInMemory()
    desk.tell(order(2, ("1", "S", 5)))
    before = desk.rows()
    assert [] == desk.tell(order(1, ("1", "S", 9)))
    assert [] == desk.tell(order(2, ("1", "S", 9), event_id="another"))
    assert [] == desk.tell(cancel(2))
    assert before == desk.rows()


def test_the_same_event_id_has_no_second_effect_even_with_another_version() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5), event_id="E"))
    before = desk.rows()
    assert [] == desk.tell(order(2, ("1", "S", 9), event_id="E"))
    assert before == desk.rows()


def test_an_event_id_is_forgotten_after_the_horizon() -> None:
    desk = DeskInMemory(DeskRules(duplicate_horizon=DAY))
    desk.tell(order(1, ("1", "S", 5), event_id="E"), at=0)
    assert [] == desk.tell(order(2, ("1", "S", 6), event_id="E"), at=DAY)
    assert [] != desk.tell(order(2, ("1", "S", 6), event_id="E"), at=DAY + 1)
    document = desk.desk.known_order("O1")
    assert [DAY + 1] == [event.log_time for event in document.applied]


def test_the_same_event_id_from_another_source_is_another_event() -> None:
    desk = DeskInMemory()
    first = order(1, ("1", "S", 5), event_id="E")
    second = order(2, ("1", "S", 6), event_id="E")
    desk.tell(first)
    other = OrderReceived(second.cause, "O1", second.action, second.terms, second.lines, "another")
    assert 1 == len(demands(desk.tell(other)))


def test_a_cancelled_order_ends_every_line_that_is_wanted() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5), ("2", "T", 5), ("3", "T", 5)))
    desk.tell(order(2, ("1", "S", 5), ("2", "T", 5)))
    told = desk.tell(cancel(3))
    assert {"S": (LineDemand("1", ends=True),), "T": (LineDemand("2", ends=True),)} == lines_by_sku(told)
    assert {(DemandReason.ORDER_CANCELLED, 3, ACCEPTED)} == {
        (demand.reason, demand.terms.order_version, demand.terms.accepted_at) for demand in demands(told)
    }
    assert {} == desk.wanted()


def test_an_order_cancelled_before_it_was_placed_asks_nothing_of_anybody() -> None:
    desk = DeskInMemory()
    desk.tell(cancel(2))
    assert [] == desk.tell(order(1, ("1", "S", 5)))
    assert {} == desk.wanted()


def test_a_newer_version_of_a_cancelled_order_is_ignored_and_told_to_operations_once() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5)))
    desk.tell(cancel(2))
    told = desk.tell(order(3, ("1", "S", 9)))
    (notice,) = notices(told)
    assert (NoticeType.DISCREPANCY, "OPERATIONS", "O1", 3) == (
        notice.type,
        notice.audience,
        notice.order_id,
        notice.order_version,
    )
    assert "Order O1 is cancelled for good, so its newer version 3 (AMENDED) was ignored." == notice.message
    assert [] == demands(told)
    assert [] == desk.tell(order(3, ("1", "S", 9), event_id="sent again under another id"))
    assert [] == desk.tell(order(3, ("1", "S", 9)))


def test_holds_are_not_supported_yet() -> None:
    desk = DeskInMemory()
    with pytest.raises(BadRecordError, match="NOT_SUPPORTED"):
        desk.tell(order(1, action=OrderAction.HELD))
    assert {} == desk.rows()


def test_decide_reads_and_never_writes() -> None:
    desk = DeskInMemory()
    desk.tell(order(1, ("1", "S", 5), ("2", "T", 5)))
    before = desk.rows()
    assert decide(desk.desk, order(2, ("1", "U", 7)), 5)
    assert decide(desk.desk, report(waiting=5), 5)
    assert before == desk.rows()


def test_a_report_about_an_unknown_order_or_line_changes_nothing() -> None:
    desk = DeskInMemory()
    assert [] == desk.tell(report(waiting=1))
    desk.tell(order(1, ("1", "S", 5)))
    assert [] == desk.tell(report(line_id="9", waiting=1))
    assert [] == desk.tell(report(sku="other", waiting=1))


def test_rules_that_would_not_hold_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="notice_window"):
        DeskRules(notice_window=0)
    with pytest.raises(ConfigurationError, match="closed_retention"):
        DeskRules(duplicate_horizon=2, closed_retention=1)


# --- forgetting


def test_a_closed_order_is_forgotten_after_the_retention() -> None:
    desk = DeskInMemory(DeskRules(duplicate_horizon=DAY, closed_retention=2 * DAY))
    desk.tell(order(1, ("1", "S", 5)), at=0)
    desk.tell(report(allocated=5), at=1)
    desk.tell(report(shipped=5), at=10)
    desk.pass_time(10 + 2 * DAY - 1)
    assert desk.knows_order()
    desk.pass_time(10 + 2 * DAY)
    assert not desk.knows_order()
    assert {} == desk.rows()


def test_an_order_with_something_open_is_not_forgotten() -> None:
    desk = DeskInMemory(DeskRules(duplicate_horizon=DAY, closed_retention=2 * DAY))
    desk.tell(order(1, ("1", "S", 5)), at=0)
    desk.pass_time(9 * DAY)
    assert desk.knows_order()
    desk.tell(report(shipped=5), at=9 * DAY)
    desk.tell(order(2, ("1", "S", 6)), at=10 * DAY)
    desk.pass_time(20 * DAY)
    assert desk.knows_order()
    desk.tell(report(shipped=6), at=21 * DAY)
    desk.pass_time(23 * DAY - 1)
    assert desk.knows_order()
    desk.pass_time(23 * DAY)
    assert not desk.knows_order()


def test_a_version_that_changes_nothing_of_a_closed_order_starts_the_retention_anew() -> None:
    desk = DeskInMemory(DeskRules(duplicate_horizon=DAY, closed_retention=2 * DAY))
    desk.tell(cancel(5), at=0)
    desk.tell(order(6, ("1", "S", 6)), at=DAY)
    desk.pass_time(2 * DAY)
    assert desk.knows_order()
    desk.pass_time(3 * DAY)
    assert not desk.knows_order()


def test_a_report_that_leaves_a_closed_order_closed_does_not_start_the_retention_anew() -> None:
    desk = DeskInMemory(DeskRules(duplicate_horizon=DAY, closed_retention=2 * DAY))
    desk.tell(order(1, ("1", "S", 5)), at=0)
    desk.tell(report(shipped=5), at=1)
    desk.tell(report(shipped=6), at=DAY)
    desk.pass_time(1 + 2 * DAY)
    assert not desk.knows_order()


def test_a_document_remembers_a_bounded_number_of_event_ids() -> None:
    desk = DeskInMemory()
    for version in range(1, APPLIED_EVENTS_MAX + 3):
        desk.tell(order(version, ("1", "S", 1)))
    applied = desk.desk.known_order("O1").applied
    assert APPLIED_EVENTS_MAX == len(applied)
    assert f"O1-AMENDED-{APPLIED_EVENTS_MAX + 2}" == applied[-1].event_id


def test_a_desk_that_contradicts_an_outcome_is_a_bug() -> None:
    desk = DeskInMemory()
    (accepted, sent) = list(decide(desk.desk, order(1, ("1", "S", 5)), 0))
    evolve(desk.desk, accepted)
    terms = Terms(1, 0)
    cause = report().cause
    unknown = DemandChanged(cause, "S", "O1", DemandReason.ORDER_AMENDED, terms, (LineDemand("9", cancel=1),))
    for outcome in (DemandSent(unknown), LineNoted(report())):
        with pytest.raises(InvariantError, match="line"):
            evolve(desk.desk, outcome)
    evolve(desk.desk, sent)
    desk.tell(report(waiting=5))
    notice = customer_notice(desk.desk.known_order("O1"), 1)
    assert notice is not None
    lines = (msgspec.structs.replace(notice.lines[0], line_id="9"),)
    with pytest.raises(InvariantError, match="unknown line"):
        evolve(desk.desk, NoticeIssued(msgspec.structs.replace(notice, lines=lines)))


# --- properties


documents = st.lists(
    st.dictionaries(
        st.sampled_from(["1", "2", "3"]),
        st.tuples(st.sampled_from(["S", "T"]), st.integers(0, 4)),
        min_size=1,
    ),
    min_size=1,
    max_size=5,
)


def versions(drawn: list[dict[str, tuple[str, int]]], *, is_cancelled: bool) -> list[OrderReceived]:
    events = [
        order(number, *((line_id, sku, quantity) for line_id, (sku, quantity) in lines.items()))
        for number, lines in enumerate(drawn, start=1)
    ]
    return [*events, cancel(len(events) + 1)] if is_cancelled else events


@settings(deadline=None)
@given(drawn=documents, is_cancelled=st.booleans(), data=st.data())
def test_versions_in_any_order_give_the_demand_of_the_newest(
    drawn: list[dict[str, tuple[str, int]]], is_cancelled: bool, data: st.DataObject
) -> None:
    desk = DeskInMemory()
    for event in data.draw(st.permutations(versions(drawn, is_cancelled=is_cancelled))):
        desk.tell(event)
    newest = {} if is_cancelled else drawn[-1]
    assert {(line_id, sku): quantity for line_id, (sku, quantity) in newest.items() if quantity} == desk.wanted()


@settings(deadline=None)
@given(drawn=documents, data=st.data())
def test_repeats_anywhere_change_nothing_and_say_nothing(
    drawn: list[dict[str, tuple[str, int]]], data: st.DataObject
) -> None:
    events = versions(drawn, is_cancelled=True)
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=4))
    once, again = DeskInMemory(), DeskInMemory()
    for event in events:
        once.tell(event)
        again.tell(event)
    for event in repeated:
        assert [] == again.tell(event)
    assert once.rows() == again.rows()
