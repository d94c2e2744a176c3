"""One notice, not five (R20)."""

from bostream.domain.documents.outcomes import Notice, NoticeLine
from tests.domain.documents.support import SECOND, DeskInMemory, notices, order, report

WINDOW = 2 * SECOND
OCTOBER_12 = 1_760_227_200 * SECOND
OCTOBER_20 = OCTOBER_12 + 8 * 86_400 * SECOND


def placed(*lines: tuple[str, str, int]) -> DeskInMemory:
    desk = DeskInMemory()
    desk.tell(order(1, *(lines or (("1", "S", 5),))), at=0)
    return desk


def after_window(desk: DeskInMemory) -> Notice:
    (notice,) = notices(desk.pass_time(desk.log_time + WINDOW))
    return notice


def test_a_line_that_waits_is_told_at_the_end_of_the_window() -> None:
    desk = placed()
    assert [] == notices(desk.tell(report(waiting=5), at=10))
    assert [] == notices(desk.pass_time(10 + WINDOW - 1))
    (notice,) = notices(desk.pass_time(10 + WINDOW))
    assert ("BACKORDERED", "CUSTOMER", "C1", 1, "scan-1") == (
        notice.type,
        notice.audience,
        notice.customer_id,
        notice.order_version,
        notice.cause.event_id,
    )
    assert (NoticeLine("1", "S", 5, 0, 0, 5, None, None),) == notice.lines
    assert "5 units of your order O1 are not in stock yet and will follow as soon as possible." == notice.message


def test_all_lines_that_changed_in_the_window_share_one_notice_under_the_strongest_type() -> None:
    desk = placed(("1", "S", 5), ("2", "T", 1), ("3", "U", 2))
    desk.tell(report(waiting=5, eta=OCTOBER_12), at=1)
    desk.tell(report(line_id="2", sku="T", allocated=1), at=2)
    desk.tell(report(line_id="3", sku="U", allocated=1, waiting=1, eta=OCTOBER_20, cause="last"), at=WINDOW)
    notice = after_window(desk)
    assert ("PARTIALLY_ALLOCATED", ["1", "2", "3"], "last") == (
        notice.type,
        [line.line_id for line in notice.lines],
        notice.cause.event_id,
    )
    assert (
        "2 units of your order O1 are now reserved for you, and 6 units are still to come, expected by 20 October 2025."
        == notice.message
    )


def test_nothing_waits_any_more_is_allocated() -> None:
    desk = placed()
    desk.tell(report(waiting=5))
    after_window(desk)
    desk.tell(report(allocated=5))
    notice = after_window(desk)
    assert ("ALLOCATED", "Everything in your order O1 is now in stock and reserved for you.") == (
        notice.type,
        notice.message,
    )


def test_an_order_with_a_line_that_no_book_has_reported_is_not_all_allocated() -> None:
    desk = placed(("1", "S", 5), ("2", "T", 1))
    desk.tell(report(allocated=5))
    assert "PARTIALLY_ALLOCATED" == after_window(desk).type


def test_changes_that_cancelled_each_other_out_are_not_told() -> None:
    desk = placed()
    desk.tell(report(waiting=5))
    after_window(desk)
    desk.tell(report(allocated=3, waiting=2))
    desk.tell(report(waiting=5))
    assert [] == notices(desk.pass_time(desk.log_time + WINDOW))
    desk.tell(report(waiting=5, picked=0))
    assert [] == notices(desk.pass_time(desk.log_time + WINDOW))


def test_the_next_change_opens_a_new_window() -> None:
    desk = placed()
    desk.tell(report(waiting=5), at=0)
    desk.pass_time(WINDOW)
    desk.tell(report(allocated=1, waiting=4), at=WINDOW)
    desk.tell(report(allocated=2, waiting=3), at=WINDOW + 5)
    (notice,) = notices(desk.pass_time(2 * WINDOW))
    assert (2, 3) == (notice.lines[0].allocated, notice.lines[0].waiting)


def test_an_eta_is_set_changed_and_gone_and_never_told_twice() -> None:
    desk = placed()
    desk.tell(report(waiting=5))
    after_window(desk)
    desk.tell(report(waiting=5, eta=OCTOBER_12))
    eta_set = after_window(desk)
    assert ("ETA_SET", OCTOBER_12, None) == (eta_set.type, eta_set.lines[0].eta, eta_set.lines[0].previous_eta)
    assert "We now expect what is still missing from your order O1 by 12 October 2025." == eta_set.message
    desk.tell(report(waiting=5, eta=OCTOBER_20))
    desk.tell(report(waiting=5, eta=OCTOBER_12))
    assert [] == notices(desk.pass_time(desk.log_time + WINDOW))
    desk.tell(report(waiting=5, eta=OCTOBER_20))
    moved = after_window(desk)
    assert ("ETA_CHANGED", OCTOBER_20, OCTOBER_12) == (moved.type, moved.lines[0].eta, moved.lines[0].previous_eta)
    assert "The expected date for what is still missing from your order O1 has moved to 20 October 2025." == (
        moved.message
    )
    desk.tell(report(waiting=5))
    gone = after_window(desk)
    assert ("ETA_CHANGED", None, OCTOBER_20) == (gone.type, gone.lines[0].eta, gone.lines[0].previous_eta)
    assert "We no longer have a date for what is still missing from your order O1." == gone.message


def test_an_eta_of_a_line_that_waits_no_more_is_no_news() -> None:
    desk = placed()
    desk.tell(report(waiting=5, eta=OCTOBER_12))
    after_window(desk)
    desk.tell(report(allocated=5, eta=OCTOBER_12))
    assert ("ALLOCATED", None) == ((notice := after_window(desk)).type, notice.lines[0].eta)
    desk.tell(report(allocated=5))
    assert [] == notices(desk.pass_time(desk.log_time + WINDOW))


def test_units_that_a_line_loses_are_backordered() -> None:
    desk = placed()
    desk.tell(report(allocated=5))
    after_window(desk)
    desk.tell(report(allocated=4, waiting=1, eta=OCTOBER_12))
    notice = after_window(desk)
    assert "BACKORDERED" == notice.type
    assert (
        "1 unit of your order O1 is not in stock yet and will follow as soon as possible, expected by 12 October 2025."
        == notice.message
    )


def test_shipped_units_are_told_with_what_is_still_to_come() -> None:
    desk = placed()
    desk.tell(report(allocated=4, waiting=1))
    after_window(desk)
    desk.tell(report(shipped=4, waiting=1))
    notice = after_window(desk)
    assert ("SHIPPED", "4 units of your order O1 have shipped, and 1 unit is still to come.") == (
        notice.type,
        notice.message,
    )


def test_cancelled_units_are_told_before_everything_else() -> None:
    desk = placed()
    desk.tell(report(allocated=4, waiting=1))
    after_window(desk)
    desk.tell(report(shipped=4, cancelled=1))
    notice = after_window(desk)
    assert ("CANCELLED", "1 unit of your order O1 was cancelled.") == (notice.type, notice.message)


def test_a_line_that_moved_is_told_under_its_new_sku_only() -> None:
    desk = placed()
    desk.tell(report(waiting=5))
    after_window(desk)
    desk.tell(order(2, ("1", "T", 5)))
    desk.tell(report(sku="T", waiting=5))
    desk.tell(report(sku="S", cancelled=5, let_go=True))
    notice = after_window(desk)
    assert ("BACKORDERED", [("1", "T")]) == (notice.type, [(line.line_id, line.sku) for line in notice.lines])


def test_units_that_still_ship_under_the_old_sku_are_told() -> None:
    desk = placed()
    desk.tell(report(allocated=5, picked=2))
    after_window(desk)
    desk.tell(order(2, ("1", "T", 3)))
    desk.tell(report(sku="S", allocated=2, picked=2, cancelled=3))
    desk.tell(report(sku="T", waiting=3))
    after_window(desk)
    desk.tell(report(sku="S", shipped=2, cancelled=3))
    notice = after_window(desk)
    assert ("SHIPPED", [("1", "S")]) == (notice.type, [(line.line_id, line.sku) for line in notice.lines])


def test_a_picked_line_is_no_news() -> None:
    desk = placed()
    desk.tell(report(allocated=5))
    after_window(desk)
    desk.tell(report(allocated=5, picked=5))
    assert [] == notices(desk.pass_time(desk.log_time + 10 * WINDOW))


def test_deduplication_keys_differ_between_notices_and_agree_on_replay() -> None:
    def history() -> list[tuple[str, ...]]:
        desk = placed()
        for allocated in range(4):
            desk.tell(report(allocated=allocated, waiting=5 - allocated))
            desk.pass_time(desk.log_time + WINDOW)
        return [notice.deduplication for notice in notices(desk.outcomes)]

    first = history()
    assert 4 == len(set(first))
    assert first == history()


def test_a_promise_beyond_the_calendar_is_still_a_sentence() -> None:
    desk = placed()
    desk.tell(report(waiting=5, eta=1 << 62))
    assert after_window(desk).message.endswith("expected by 31 December 9999.")
    other = placed()
    other.tell(report(waiting=5, eta=-(1 << 62)))
    assert after_window(other).message.endswith("expected by 1 January 1.")
