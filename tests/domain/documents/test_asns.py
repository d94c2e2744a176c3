"""Advance ship notices at the desk (R16)."""

import pytest

from bostream.domain.documents.desk import DeskRules
from bostream.domain.documents.events import AsnAction
from bostream.domain.documents.handle import decide_timer
from bostream.domain.documents.outcomes import NoticeType
from bostream.domain.sku.events import InboundLine
from bostream.domain.state import Timer
from bostream.errors import InvariantError
from tests.domain.documents.support import DAY, SECOND, DeskInMemory, asn, inbound, notices

CLOSED = AsnAction.CLOSED
AMENDED = AsnAction.AMENDED
ARRIVED = AsnAction.ARRIVED


def test_each_sku_is_told_all_that_the_notice_has_for_it() -> None:
    desk = DeskInMemory()
    told = inbound(desk.tell(asn(1, ("2", "S", 5), ("1", "S", 3), ("3", "R", 1))))
    assert [
        ("R", "A1", "W1", 500 * SECOND, (InboundLine("3", 1),), False),
        ("S", "A1", "W1", 500 * SECOND, (InboundLine("1", 3), InboundLine("2", 5)), False),
    ] == [(i.sku, i.asn_id, i.location, i.eta, i.lines, i.closed) for i in told]


def test_an_amended_notice_is_told_only_to_the_skus_that_it_changes() -> None:
    desk = DeskInMemory()
    desk.tell(asn(1, ("1", "S", 3), ("2", "T", 5), ("3", "U", 7)))
    told = inbound(desk.tell(asn(2, ("1", "S", 3), ("2", "U", 5), ("3", "U", 7), action=AMENDED)))
    assert [("T", ()), ("U", (InboundLine("2", 5), InboundLine("3", 7)))] == [(i.sku, i.lines) for i in told]
    assert [] == inbound(desk.tell(asn(3, ("1", "S", 3), ("2", "U", 5), ("3", "U", 7), action=AMENDED)))


@pytest.mark.parametrize("changed", [{"eta": 900 * SECOND}, {"location": "W2"}])
def test_a_changed_eta_or_destination_is_told_to_all(changed: dict[str, object]) -> None:
    desk = DeskInMemory()
    desk.tell(asn(1, ("1", "S", 3), ("2", "T", 5)))
    told = inbound(desk.tell(asn(2, ("1", "S", 3), ("2", "T", 5), action=AMENDED, **changed)))  # type: ignore[arg-type]
    assert ["S", "T"] == [i.sku for i in told]


@pytest.mark.parametrize("action", [AsnAction.CLOSED, AsnAction.CANCELLED])
def test_an_ended_notice_closes_its_lines_and_newer_versions_are_a_discrepancy(action: AsnAction) -> None:
    desk = DeskInMemory()
    desk.tell(asn(1, ("1", "S", 3), ("2", "T", 5)))
    told = inbound(desk.tell(asn(2, action=action)))
    assert [("S", (InboundLine("1", 3),), True), ("T", (InboundLine("2", 5),), True)] == [
        (i.sku, i.lines, i.closed) for i in told
    ]
    again = desk.tell(asn(3, ("1", "S", 3), action=AMENDED))
    assert [] == inbound(again)
    (notice,) = notices(again)
    assert (NoticeType.DISCREPANCY, "A1", "") == (notice.type, notice.subject, notice.order_id)
    assert "Advance ship notice A1 has ended, so its newer version 3 (AMENDED) was ignored." == notice.message
    assert [] == desk.tell(asn(3, ("1", "S", 3), action=AMENDED, event_id="again"))


def test_stale_versions_and_repeats_are_ignored() -> None:
    desk = DeskInMemory()
    desk.tell(asn(5, ("1", "S", 3), event_id="E"))
    before = desk.rows()
    assert [] == desk.tell(asn(4, ("1", "S", 9)))
    assert [] == desk.tell(asn(5, ("1", "S", 9), event_id="F"))
    assert [] == desk.tell(asn(6, ("1", "S", 9), event_id="E"))
    assert before == desk.rows()


def test_an_end_before_the_announcement_is_remembered() -> None:
    desk = DeskInMemory()
    desk.tell(asn(2, action=CLOSED))
    assert [] == desk.tell(asn(1, ("1", "S", 3)))
    assert 1 == len(notices(desk.tell(asn(3, ("1", "S", 3), action=AMENDED))))


def test_an_arrival_changes_nothing_and_hides_no_older_notice() -> None:
    desk = DeskInMemory()
    assert [] == inbound(desk.tell(asn(3, action=ARRIVED)))
    assert [] == desk.tell(asn(2, action=ARRIVED))
    assert 1 == len(inbound(desk.tell(asn(1, ("1", "S", 3)))))
    assert 1 == len(inbound(desk.tell(asn(2, ("1", "S", 4), action=AMENDED))))
    assert 3 == desk.desk.known_asn("A1").arrived_version


def test_an_arrival_after_the_end_is_stale_or_a_discrepancy() -> None:
    desk = DeskInMemory()
    desk.tell(asn(5, action=CLOSED))
    assert [] == desk.tell(asn(4, action=ARRIVED))
    assert 1 == len(notices(desk.tell(asn(6, action=ARRIVED))))


def test_an_ended_notice_is_forgotten_after_the_retention() -> None:
    desk = DeskInMemory(DeskRules(duplicate_horizon=DAY, closed_retention=2 * DAY))
    desk.tell(asn(1, ("1", "S", 3)), at=0)
    desk.tell(asn(2, action=CLOSED), at=10)
    desk.tell(asn(3, action=ARRIVED), at=DAY)
    desk.pass_time(2 * DAY + 10)
    assert desk.desk.asn("A1") is not None
    desk.pass_time(3 * DAY)
    assert {} == desk.rows()


def test_an_unknown_timer_or_document_is_a_bug() -> None:
    desk = DeskInMemory()
    for kind in ("NOTICE", "FORGET_ORDER", "FORGET_ASN"):
        assert () == decide_timer(desk.desk, Timer(1, kind, ("gone",)), 1)
    with pytest.raises(InvariantError, match="no timer"):
        decide_timer(desk.desk, Timer(1, "OTHER", ("gone",)), 1)
    with pytest.raises(InvariantError, match="gone"):
        desk.desk.known_order("gone")
    with pytest.raises(InvariantError, match="gone"):
        desk.desk.known_asn("gone")
