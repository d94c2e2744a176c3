"""The driver itself: what it refuses, and that it behaves like the engine."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from bostream.contract.codec import json_writer
from bostream.contract.records import OUTPUT_RECORDS, AllocationPolicy
from bostream.contract.schemas import load_schemas
from bostream.domain.documents.events import OrderAction
from bostream.domain.sku.events import ScanType
from bostream.errors import ConfigurationError
from bostream.testing.driver import DriverClock, PipelineDriver
from tests.stages.support import DAY, NOON, SECOND, asn, order, scan


def test_a_topic_that_is_not_read_is_refused() -> None:
    driver = PipelineDriver()
    with pytest.raises(ConfigurationError, match="allocations"):
        driver.send_bytes("allocations", b"", NOON)
    with pytest.raises(ConfigurationError, match="allocation-policies"):
        driver.send(AllocationPolicy(event_id="e", occurred_at=NOON, policy_id="p", version=1, sku="*"), NOON)


def test_dead_letters_of_inputs_and_of_internal_logs_are_kept() -> None:
    driver = PipelineDriver(app="shop")
    driver.send_bytes("orders", b"nonsense", NOON, key=b"k")
    assert [(b"k", b"nonsense")] == [(letter.key, letter.value) for letter in driver.dead_letters("orders")]
    driver.log("shop-skus")[1].append(b"k", b"nonsense", NOON)
    driver.settle()
    (letter,) = driver.dead_letters("shop-skus")
    assert (b"UNDECODABLE", b"skus") == (
        dict(letter.headers)["bostream.dlq.reason"],
        dict(letter.headers)["__connect.errors.stage"],
    )
    driver.send(order("O1", ("1", "S", 1)), NOON)
    assert ["O1/1"] == list(driver.compacted("backorder-lines"))


def test_a_timer_fires_before_the_record_that_passes_it() -> None:
    driver = PipelineDriver(partitions=1)
    driver.send(order("O1", ("1", "S", 5)), NOON)
    driver.send(scan(ScanType.RECEIVED, 5), NOON + 3 * SECOND)
    assert ["BACKORDERED"] == [notice.type for notice in driver.published("notifications")]


def test_a_timer_that_an_unreadable_record_lets_fire_names_that_record() -> None:
    driver = PipelineDriver(partitions=1, app="shop")
    driver.send(scan(ScanType.SHIPPED, 1, line=("unknown", "1")), NOON)
    driver.log("shop-skus")[0].append(None, b"nonsense", NOON + 7 * DAY)
    driver.settle()
    (notice,) = [told for told in driver.published("notifications") if told.type == "DISCREPANCY"]
    assert "shop-skus/0/1" == notice.cause_event_id


def test_a_receipt_before_its_announcement_counts_when_the_announcement_comes() -> None:
    driver = PipelineDriver()
    driver.send(scan(ScanType.RECEIVED, 2, asn=("A1", "1")), NOON)
    driver.send(asn("A1", ("1", "S", 5)), NOON)
    position: Any = driver.compacted("stock-positions")["S/W1"]
    assert (2, 3) == (position.on_hand, position.inbound)


def test_a_clock_holds_the_future_back() -> None:
    driver = PipelineDriver(partitions=1, clock=DriverClock(NOON + 3))
    assert (NOON + 3) / 1_000_000 == driver.clock.monotonic_s()
    driver.send(order("O1", ("1", "S", 5)), NOON + DAY)
    assert [NOON] == [record.timestamp for record in driver.log("bostream-documents")[0].records[:1]]


def test_outputs_may_be_json() -> None:
    schemas = load_schemas()
    driver = PipelineDriver(writers={topic: json_writer(topic, schemas) for topic in OUTPUT_RECORDS})
    driver.send(scan(ScanType.RECEIVED, 5), NOON)
    driver.send(order("O1", ("1", "S", 5)), NOON)
    driver.pass_time(NOON + DAY)
    assert [5] == [event.quantity for event in driver.published("allocations")]
    assert ["ALLOCATED"] == [notice.type for notice in driver.published("notifications")]
    assert all(b"{" == (output.value or b"")[:1] for output in driver.outputs["stock-positions"])


documents = st.lists(
    st.dictionaries(st.sampled_from(["1", "2"]), st.tuples(st.sampled_from(["S", "T"]), st.integers(0, 3)), min_size=1),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=40)
@given(drawn=documents, is_cancelled=st.booleans(), data=st.data())
def test_versions_in_any_order_leave_the_books_with_the_demand_of_the_newest(
    drawn: list[dict[str, tuple[str, int]]], is_cancelled: bool, data: st.DataObject
) -> None:
    events = [
        order("O", *((line, sku, quantity) for line, (sku, quantity) in lines.items()), version=number)
        for number, lines in enumerate(drawn, start=1)
    ]
    if is_cancelled:
        events.append(order("O", version=len(events) + 1, action=OrderAction.CANCELLED))
    driver = PipelineDriver(partitions=data.draw(st.integers(1, 3)))
    for event in data.draw(st.permutations(events)):
        driver.send(event, NOON)
    newest = {} if is_cancelled else drawn[-1]
    for line in ("1", "2"):
        for sku in ("S", "T"):
            view = driver.book(sku).view(sku, "O", line)
            wanted_sku, quantity = newest.get(line, ("", 0))
            assert (quantity if wanted_sku == sku else 0) == (0 if view is None else view.waiting)
    shown = {key: record.sku for key, record in driver.compacted("backorder-lines").items()}  # type: ignore[union-attr]
    assert {f"O/{line}": sku for line, (sku, quantity) in newest.items() if quantity} == shown
