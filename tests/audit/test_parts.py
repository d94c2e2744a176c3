"""Parts of the audit that a whole run does not reach."""

import pytest

from bostream.audit.demand import Demand, DemandRules
from bostream.audit.findings import Findings, Kind, Place
from bostream.audit.identities import MISSES_PATIENT_MAX, ORDINALS_HURRIED_MAX, Positions, hash_of
from bostream.audit.verify import verdict
from bostream.contract.identity import event_id
from bostream.domain.cause import Cause
from bostream.domain.documents.events import OrderAction, OrderReceived, WantedLine
from bostream.domain.sku.events import DemandChanged, DemandReason, LineDemand, Terms
from bostream.engine.ports import Record
from tests.stages.support import DAY, NOON


def test_all_differences_are_counted_and_some_of_each_kind_kept() -> None:
    findings = Findings(kept_max=2)
    for number in range(5):
        findings.add(Kind.UNREADABLE, Place("orders", 0, number), "a record", expected="this", actual="that")
    findings.add(Kind.INPUT_LOST, Place("orders"), "a record", expected="this", actual="nothing")
    findings.limit("once")
    findings.limit("once")
    told = verdict(findings)
    assert (6, {"UNREADABLE": 5, "INPUT_LOST": 1}) == (told["differences"], told["by_kind"])
    assert ["orders/0/0", "orders/0/1", "orders"] == [str(Place(f.topic, f.partition, f.offset)) for f in findings.kept]
    assert ["once"] == told["limitations"]


def test_an_id_is_found_behind_the_notices_of_timers() -> None:
    positions = Positions("log")
    assert positions.makes(event_id("log", 1, 7, 9_000), 1, 7, 3)
    assert not positions.makes(event_id("log", 1, 7, 2), 1, 7, 3)
    assert not positions.makes(event_id("log", 2, 7, 3), 1, 7, 3)


def test_after_many_wrong_ids_the_search_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    positions = Positions("log")
    monkeypatch.setattr("bostream.audit.identities.ORDINALS_MAX", 1)
    for _ in range(MISSES_PATIENT_MAX):
        assert not positions.makes("wrong", 0, 0, 0)
    assert positions.makes(event_id("log", 0, 0, ORDINALS_HURRIED_MAX - 1), 0, 0, 0)
    assert not positions.makes(event_id("log", 0, 0, ORDINALS_HURRIED_MAX), 0, 0, 0)


def test_ids_of_one_log_record_differ_in_the_bits_that_are_kept() -> None:
    assert 10_000 == len({hash_of(event_id("log", 0, 1, ordinal)) for ordinal in range(10_000)})


@pytest.mark.parametrize(("pause", "is_compared"), [(29 * DAY, True), (30 * DAY, False)])
def test_an_order_that_may_have_been_forgotten_is_left_out(pause: int, is_compared: bool) -> None:
    """The desk forgot it and took the late document for a new order: nobody can say from the log alone."""
    findings = Findings()
    demand = Demand(DemandRules(duplicate_horizon=7 * DAY, retention=30 * DAY), findings)
    terms = Terms(order_version=1, accepted_at=NOON)
    for event_id_, log_time in (("a", NOON), ("b", NOON + pause)):
        cause = Cause(event_id_, "orders/PLACED", NOON, NOON)
        event = OrderReceived(cause, "O", OrderAction.PLACED, terms, (WantedLine("1", "S", 5),))
        demand.add_order(Record("documents", 0, 0, log_time, None, None), event, log_time, is_past_cut=False)
        lines = (LineDemand("1", add=5),)
        demand.add_demand(DemandChanged(cause, "S", "O", DemandReason.ORDER_PLACED, terms, lines))
    demand.finish("skus")
    assert ([Kind.DEMAND_WRONG] if is_compared else []) == [finding.kind for finding in findings.kept]
    assert is_compared == (not findings.limitations)
