"""The three stages together: public records in, public records out."""

import random
from typing import Any

import pytest

from bostream.contract.identity import event_id
from bostream.contract.partitioner import partition_for
from bostream.contract.records import AllocationEvent, AllocationType, InputRecord, LineStatus
from bostream.domain.documents.events import AsnAction, OrderAction
from bostream.domain.sku.events import ScanType, ShipPolicy
from bostream.testing.driver import PipelineDriver
from tests.stages.support import DAY, NOON, SECOND, asn, clock_time, order, scan

WINDOW = 2 * SECOND
HOUR = 3_600 * SECOND


def moves(driver: PipelineDriver, since: int = 0) -> list[tuple[str, str, int]]:
    """What ``allocations`` says from this record on, in short."""
    events: list[AllocationEvent] = driver.published("allocations")
    return [(event.type.value, event.order_id, event.quantity) for event in events[since:]]


def test_the_worked_example_of_the_rules() -> None:
    driver = PipelineDriver()
    driver.send(order("A", ("1", "S", 5), accepted_at=clock_time("09:00")), clock_time("09:20"))
    driver.send(order("B", ("1", "S", 3), priority=1, accepted_at=clock_time("09:10")), clock_time("09:21"))
    driver.send(
        order("C", ("1", "S", 4), ship_policy=ShipPolicy.LINE_COMPLETE, accepted_at=clock_time("08:00")),
        clock_time("09:22"),
    )
    assert [] == moves(driver)
    steps: list[tuple[InputRecord, list[tuple[str, str, int]]]] = [
        (scan(ScanType.RECEIVED, 6), [("ALLOCATED", "B", 3), ("ALLOCATED", "A", 3)]),
        (scan(ScanType.RECEIVED, 3, event_id="second"), [("ALLOCATED", "A", 2)]),
        (scan(ScanType.RECEIVED, 3, event_id="third"), [("ALLOCATED", "C", 4)]),
        (scan(ScanType.COUNTED, 9, expected=12), [("DEALLOCATED", "A", 3)]),
        (
            order("B", version=2, action=OrderAction.CANCELLED),
            [("DEALLOCATED", "B", 3), ("CANCELLED", "B", 3), ("ALLOCATED", "A", 3)],
        ),
    ]
    at = clock_time("10:00")
    for record, expected in steps:
        before = len(moves(driver))
        driver.send(record, at)
        assert expected == moves(driver, before)
        at += SECOND


def test_an_allocation_event_says_all_that_a_consumer_needs() -> None:
    driver = PipelineDriver(app="shop")
    driver.send(order("O1", ("1", "S", 5)), NOON, headers=(("traceparent", b"00-a-b-01"), ("tracestate", b"v=1")))
    driver.send(
        scan(ScanType.RECEIVED, 7, at=NOON + 5, event_id="R"),
        NOON + SECOND,
        headers=(("traceparent", b"00-c-d-01"), ("other", b"x")),
    )
    (event,) = driver.published("allocations")
    (output,) = driver.outputs["allocations"]
    assert ("S", "W1", 5, "STOCK_RECEIVED", "R", "inventory-scans/RECEIVED", NOON + 5) == (
        event.sku,
        event.location,
        event.quantity,
        event.reason,
        event.cause_event_id,
        event.cause_type,
        event.occurred_at,
    )
    assert (5, 5, 0, 0, 0, 0) == (
        event.ordered,
        event.allocated,
        event.picked,
        event.shipped,
        event.cancelled,
        event.waiting,
    )
    assert (7, 2, 1, 0) == (event.on_hand_after, event.available_after, event.sku_sequence, event.units_ahead)
    assert "default@0" == event.policy
    number = partition_for(b"S", 2)
    assert event_id("shop-skus", number, 1, 0) == event.event_id
    assert b"O1" == output.key
    headers = dict(output.headers)
    assert {
        "ce_specversion": b"1.0",
        "ce_id": event.event_id.encode(),
        "ce_source": b"/bostream/shop",
        "ce_type": b"bostream.allocation.v1",
        "ce_time": b"2025-11-25T12:00:00.000005Z",
        "ce_subject": b"O1",
        "content-type": b"application/avro",
        "traceparent": b"00-c-d-01",
        "bostream-cause": b"R",
    } == headers


def test_cancelled_allocated_units_are_deallocated_per_location_then_cancelled_once() -> None:
    driver = PipelineDriver()
    driver.send(scan(ScanType.RECEIVED, 2, location="W1"), NOON)
    driver.send(scan(ScanType.RECEIVED, 1, location="W2"), NOON)
    driver.send(order("O1", ("1", "S", 4)), NOON)
    before = len(moves(driver))
    driver.send(order("O1", version=2, action=OrderAction.CANCELLED), NOON)
    events = driver.published("allocations")[before:]
    assert [("DEALLOCATED", "W2", 1), ("DEALLOCATED", "W1", 2), ("CANCELLED", "", 4)] == [
        (event.type, event.location, event.quantity) for event in events
    ]
    assert (0, 0, 0, 0) == (
        events[-1].on_hand_after,
        events[-1].available_after,
        events[-1].units_ahead,
        events[-1].waiting,
    )
    assert {} == driver.compacted("backorder-lines")
    assert None is driver.published("backorder-lines")[-1]


def test_picked_and_shipped_units_are_published_as_scanned() -> None:
    driver = PipelineDriver()
    driver.send(scan(ScanType.RECEIVED, 3), NOON)
    driver.send(order("O1", ("1", "S", 3)), NOON)
    driver.send(scan(ScanType.PICKED, 2, line=("O1", "1")), NOON)
    driver.send(scan(ScanType.UNPICKED, 1, line=("O1", "1")), NOON)
    driver.send(scan(ScanType.SHIPPED, 1, line=("O1", "1")), NOON)
    events = driver.published("allocations")
    assert [("ALLOCATED", 3), ("PICKED", 2), ("UNPICKED", 1), ("SHIPPED", 1)] == [(e.type, e.quantity) for e in events]
    assert ["ORDER_PLACED", "SCANNED", "SCANNED", "SCANNED"] == [e.reason for e in events]
    assert [1, 2, 3, 4] == [e.sku_sequence for e in events]
    assert all(event.rank.startswith("PRIORITY=5 ") for event in events)
    line: Any = driver.compacted("backorder-lines")["O1/1"]
    assert (LineStatus.PARTIALLY_SHIPPED, 1, 2, 0) == (line.status, line.shipped, line.allocated, line.picked)


def test_a_backorder_line_tells_how_it_waits() -> None:
    driver = PipelineDriver()
    driver.send(asn("A1", ("1", "S", 9)), NOON)
    driver.send(order("O/1", ("1%", "S", 3), accepted_at=NOON - SECOND), NOON + SECOND)
    line: Any = driver.compacted("backorder-lines")["O%2F1/1%25"]
    assert (LineStatus.WAITING, 3, NOON + 5 * DAY, "A1/1", NOON - SECOND, NOON + SECOND) == (
        line.status,
        line.waiting,
        line.eta,
        line.eta_source,
        line.accepted_at,
        line.waiting_since,
    )
    driver.send(scan(ScanType.RECEIVED, 1, asn=("A1", "1")), NOON + 2 * SECOND)
    line = driver.compacted("backorder-lines")["O%2F1/1%25"]
    assert (LineStatus.PARTIALLY_ALLOCATED, 2, 1) == (line.status, line.waiting, line.allocated)


def test_a_moved_line_ends_as_its_new_sku_shows_it_whoever_comes_first() -> None:
    for partitions in (1, 2, 3):
        for batch in (1, 100):
            driver = PipelineDriver(partitions=partitions, batch_records_max=batch)
            driver.send(order("O1", ("1", "S", 5), ("2", "T", 1)), NOON)
            driver.send(order("O1", ("2", "T", 1), action=OrderAction.AMENDED, version=2), NOON)
            driver.send(order("O1", ("1", "T", 4), ("2", "T", 1), action=OrderAction.AMENDED, version=3), NOON)
            line: Any = driver.compacted("backorder-lines")["O1/1"]
            assert ("T", 4, 4) == (line.sku, line.ordered, line.waiting)
            last = driver.published("backorder-lines")[-1]
            assert ("1", "T") == (last.line_id, last.sku), "published again after the old SKU let go"


def test_picked_units_of_a_moved_line_ship_without_showing_the_old_sku_again() -> None:
    driver = PipelineDriver()
    driver.send(scan(ScanType.RECEIVED, 5), NOON)
    driver.send(order("O1", ("1", "S", 5)), NOON)
    driver.send(scan(ScanType.PICKED, 2, line=("O1", "1")), NOON)
    driver.send(order("O1", ("1", "T", 4), action=OrderAction.AMENDED, version=2), NOON)
    shown = len(driver.published("backorder-lines"))
    driver.send(scan(ScanType.SHIPPED, 2, line=("O1", "1")), NOON)
    assert ("SHIPPED", "O1", 2) == moves(driver)[-1]
    assert shown == len(driver.published("backorder-lines"))
    line: Any = driver.compacted("backorder-lines")["O1/1"]
    assert "T" == line.sku


def test_an_eta_that_moves_a_little_is_shown_at_once_and_not_told_to_the_customer() -> None:
    driver = PipelineDriver()
    driver.send(order("O1", ("1", "S", 5)), NOON)
    driver.send(asn("A1", ("1", "S", 9)), NOON)
    driver.send(asn("A1", ("1", "S", 9), version=2, action=AsnAction.AMENDED, eta=NOON + 5 * DAY + HOUR), NOON)
    line: Any = driver.compacted("backorder-lines")["O1/1"]
    assert NOON + 5 * DAY + HOUR == line.eta
    driver.send(scan(ScanType.RECEIVED, 1), NOON)
    driver.pass_time(NOON + WINDOW)
    (notice,) = driver.published("notifications")
    assert (NOON + 5 * DAY, 4) == (notice.lines[0].eta, notice.lines[0].waiting)


def test_stock_positions_follow_stock_demand_and_inbound() -> None:
    driver = PipelineDriver()

    def position(location: str = "W1") -> Any:
        return driver.compacted("stock-positions")[f"S/{location}"]

    driver.send(scan(ScanType.RECEIVED, 3), NOON)
    driver.send(scan(ScanType.RECEIVED, 1, location="W2"), NOON)
    assert (3, 0, 3, 0) == (position().on_hand, position().allocated, position().available, position().waiting)
    driver.send(order("O1", ("1", "S", 6)), NOON)
    assert (3, 0, 2) == (position().allocated, position().available, position().waiting)
    assert (1, 2) == (position("W2").allocated, position("W2").waiting)
    driver.send(order("O2", ("1", "S", 5), locations=("W9",)), NOON)
    assert (7, 2, 2) == (position("W9").waiting, position("W1").waiting, position("W2").waiting)
    driver.send(order("O1", ("1", "S", 7), version=2, action=OrderAction.AMENDED), NOON)
    assert (8, 3, 3) == (position("W9").waiting, position("W1").waiting, position("W2").waiting)
    driver.send(asn("A1", ("1", "S", 2), location="W2"), NOON)
    assert (2, NOON + 5 * DAY) == (position("W2").inbound, position("W2").next_eta)
    driver.send(asn("A1", ("1", "S", 2), location="W3", version=2, action=AsnAction.AMENDED), NOON)
    assert (0, None, 2) == (position("W2").inbound, position("W2").next_eta, position("W3").inbound)
    driver.send(scan(ScanType.RECEIVED, 1, location="W9", asn=("A1", "1")), NOON)
    assert 1 == position("W3").inbound
    driver.send(order("O2", ("1", "S", 5), version=2, action=OrderAction.AMENDED, locations=("W1",)), NOON)
    assert (2, 7, 2) == (position("W9").waiting, position("W1").waiting, position("W2").waiting)


def test_a_batch_publishes_each_stock_position_once() -> None:
    driver = PipelineDriver(partitions=1)
    for number in range(5):
        record = scan(ScanType.RECEIVED, 1, event_id=str(number))
        _, writer = driver._input_writers[type(record)]
        driver.send_bytes("inventory-scans", writer.write(record), NOON, settle=False)
    driver.settle()
    (position,) = driver.published("stock-positions")
    assert 5 == position.on_hand


def test_customers_hear_once_per_window_and_operations_at_once() -> None:
    driver = PipelineDriver()
    driver.send(order("O1", ("1", "S", 5), ("2", "T", 1)), NOON)
    driver.send(scan(ScanType.RECEIVED, 1, sku="T"), NOON + SECOND)
    assert [] == driver.published("notifications")
    driver.pass_time(NOON + WINDOW)
    (notice,) = driver.published("notifications")
    assert ("PARTIALLY_ALLOCATED", "CUSTOMER", "O1", "C1", 1) == (
        notice.type,
        notice.audience,
        notice.order_id,
        notice.customer_id,
        notice.order_version,
    )
    assert [("1", 5), ("2", 0)] == [(line.line_id, line.waiting) for line in notice.lines]
    driver.send(scan(ScanType.SHIPPED, 9, line=("unknown", "1"), event_id="lost"), NOON + 3 * SECOND)
    driver.send(order("O1", version=2, action=OrderAction.CANCELLED), NOON + 4 * SECOND)
    driver.send(order("O1", ("1", "S", 9), version=3, action=OrderAction.AMENDED), NOON + 5 * SECOND)
    told = [
        (n.type.value, n.order_id, n.message) for n in driver.published("notifications") if n.audience == "OPERATIONS"
    ]
    assert (
        "DISCREPANCY",
        "O1",
        "Order O1 is cancelled for good, so its newer version 3 (AMENDED) was ignored.",
    ) in told
    keys = [n.deduplication_key for n in driver.published("notifications")]
    assert len(keys) == len(set(keys))


def test_operations_hear_of_a_shortage_with_the_line_that_is_short() -> None:
    driver = PipelineDriver()
    driver.send(scan(ScanType.RECEIVED, 2), NOON)
    driver.send(order("O1", ("1", "S", 2)), NOON)
    driver.send(scan(ScanType.PICKED, 2, line=("O1", "1")), NOON)
    driver.send(order("O1", version=2, action=OrderAction.CANCELLED, event_id="why"), NOON)
    (notice,) = driver.published("notifications")
    (output,) = driver.outputs["notifications"]
    assert ("DISCREPANCY", "OPERATIONS", "O1", "why", b"O1") == (
        notice.type,
        notice.audience,
        notice.order_id,
        notice.cause_event_id,
        output.key,
    )
    assert [("1", 2)] == [(line.line_id, line.allocated) for line in notice.lines]
    driver.send(scan(ScanType.COUNTED, 1), NOON)
    shortage = driver.published("notifications")[1]
    assert ("STOCK_SHORTAGE", "", b"S") == (shortage.type, shortage.order_id, driver.outputs["notifications"][1].key)


def test_what_a_timer_does_names_the_timer_and_what_moved_log_time() -> None:
    driver = PipelineDriver(partitions=1, app="shop")
    driver.send(scan(ScanType.RECEIVED, 9, event_id="first"), NOON)
    driver.send(scan(ScanType.SHIPPED, 1, line=("unknown", "1"), event_id="parked"), NOON)
    driver.send(scan(ScanType.SHIPPED, 1, line=("unknown", "2"), event_id="too"), NOON + SECOND)
    driver.send(scan(ScanType.RECEIVED, 1, sku="other", event_id="moves time"), NOON + 7 * DAY)
    driver.pass_time(NOON + 7 * DAY + SECOND)
    first, second = driver.published("notifications")
    assert ("moves time", NOON + 7 * DAY) == (first.cause_event_id, first.occurred_at)
    assert second.cause_event_id.startswith("shop-skus/0/")
    assert second.deduplication_key != first.deduplication_key
    assert "timer%2FSCANS_PARKED" in first.deduplication_key


def history(seed: int) -> list[tuple[InputRecord, int]]:
    """A few hundred plausible records, out of order here and there."""
    chosen = random.Random(seed)
    records: list[tuple[InputRecord, int]] = []
    versions: dict[str, int] = {}
    for number in range(300):
        at = NOON + number * SECOND + chosen.randrange(-3, 3) * SECOND
        sku = chosen.choice("ST")
        order_id = f"O{chosen.randrange(40)}"
        roll = chosen.random()
        if roll < 0.5:
            version = versions[order_id] = versions.get(order_id, 0) + 1
            lines = [(str(line), chosen.choice("ST"), chosen.randrange(4)) for line in range(chosen.randrange(1, 4))]
            action = OrderAction.AMENDED if version > 1 else OrderAction.PLACED
            if chosen.random() < 0.1:
                records.append((order(order_id, version=version, action=OrderAction.CANCELLED, at=at), at))
            else:
                places = chosen.choice([(), (), ("W1",), ("W2", "W1")])
                policy = chosen.choice([ShipPolicy.PARTIAL, ShipPolicy.PARTIAL, ShipPolicy.LINE_COMPLETE])
                record = order(
                    order_id, *lines, version=version, action=action, at=at, locations=places, ship_policy=policy
                )
                records.append((record, at))
        elif roll < 0.6:
            eta = NOON + 5 * DAY + number * HOUR
            records.append((asn(f"A{chosen.randrange(4)}", ("1", sku, 5), version=number, at=at, eta=eta), at))
        else:
            kind = chosen.choice(
                [ScanType.RECEIVED, ScanType.RECEIVED, ScanType.SHIPPED, ScanType.PICKED, ScanType.COUNTED]
            )
            line = (order_id, "0") if kind in (ScanType.SHIPPED, ScanType.PICKED) else None
            location = chosen.choice(["W1", "W2"])
            quantity = chosen.randrange(1, 6)
            records.append(
                (scan(kind, quantity, sku=sku, location=location, at=at, line=line, event_id=str(number)), at)
            )
        if chosen.random() < 0.1:
            records.append(chosen.choice(records))
    return records


def run(records: list[tuple[InputRecord, int]], *, batch: int = 1_000, restart_every: int = 0) -> PipelineDriver:
    driver = PipelineDriver(batch_records_max=batch, partitions=2)
    for number, (record, at) in enumerate(records):
        driver.send(record, at)
        if restart_every and number % restart_every == 0:
            driver.restart()
    driver.pass_time(NOON + 400 * SECOND)
    return driver


TRANSACTION_TOPIC = "stock-positions"
"""Its records say how things stand at the end of a transaction, so their number depends on the batches."""


@pytest.mark.parametrize("seed", range(3))
def test_a_replay_gives_the_same_bytes_whatever_the_batches_and_restarts(seed: int) -> None:
    records = history(seed)
    first = run(records)
    assert first.published("allocations"), "the history must do something"
    for other in (run(records), run(records, restart_every=7)):
        assert first.outputs == other.outputs
    small = run(records, batch=1)
    for topic in first.outputs.keys() - {TRANSACTION_TOPIC}:
        assert first.outputs[topic] == small.outputs[topic]
    assert first.compacted(TRANSACTION_TOPIC) == small.compacted(TRANSACTION_TOPIC)


@pytest.mark.parametrize("seed", range(3))
def test_the_published_totals_add_up(seed: int) -> None:
    driver = run(history(seed))
    events: list[AllocationEvent] = driver.published("allocations")
    sequence: dict[str, int] = {}
    allocated: dict[tuple[str, str, str], int] = {}
    by_place: dict[tuple[str, str], int] = {}
    signs = {AllocationType.ALLOCATED: 1, AllocationType.DEALLOCATED: -1, AllocationType.SHIPPED: -1}
    for event in events:
        sequence[event.sku] = sequence.get(event.sku, 0) + 1
        assert sequence[event.sku] == event.sku_sequence
        line = (event.sku, event.order_id, event.line_id)
        change = signs.get(event.type, 0) * event.quantity
        allocated[line] = allocated.get(line, 0) + change
        place = (event.sku, event.location)
        by_place[place] = by_place.get(place, 0) + change
        assert allocated[line] == event.allocated
        assert event.ordered == event.allocated + event.shipped + event.cancelled + event.waiting
        if event.location:
            assert max(0, event.on_hand_after - by_place[place]) == event.available_after
    for key, position in driver.compacted("stock-positions").items():
        sku, location = key.split("/")
        assert by_place.get((sku, location), 0) == position.allocated  # type: ignore[union-attr]
    ids = [event.event_id for topic in ("allocations", "notifications") for event in driver.published(topic)]
    assert len(ids) == len(set(ids))
    ce_ids = [dict(output.headers)["ce_id"] for outputs in driver.outputs.values() for output in outputs]
    assert len(ce_ids) == len(set(ce_ids))


@pytest.mark.parametrize("seed", range(3))
def test_stock_positions_and_lines_end_as_the_books_say(seed: int) -> None:
    driver = run(history(seed))
    positions: dict[str, Any] = driver.compacted("stock-positions")
    lines: dict[str, Any] = driver.compacted("backorder-lines")
    for sku in "ST":
        book = driver.book(sku)
        for location in ("W1", "W2"):
            published = positions[f"{sku}/{location}"]
            expected = book.position(sku, location)
            assert (expected.on_hand, expected.allocated, expected.waiting, expected.inbound, expected.next_eta) == (
                published.on_hand,
                published.allocated,
                published.waiting,
                published.inbound,
                published.next_eta,
            )
        for published in lines.values():
            if published.sku == sku:
                view = book.view(sku, published.order_id, published.line_id)
                assert view is not None
                assert (view.waiting, view.allocated, view.eta, view.status, view.rank) == (
                    published.waiting,
                    published.allocated,
                    published.eta,
                    published.status,
                    published.rank,
                )
        assert book.totals(sku).waiting_units == sum(
            published.waiting for published in lines.values() if published.sku == sku
        )


@pytest.mark.parametrize("seed", range(3))
def test_the_desk_knows_every_line_as_its_book_does(seed: int) -> None:
    driver = run(history(seed))
    for number in range(40):
        document = driver.order(f"O{number}")
        for line in () if document is None else document.lines.values():
            view = driver.book(line.sku).view(line.sku, f"O{number}", line.line_id)
            if view is None:
                continue
            assert (view.ordered, view.allocated, view.picked, view.shipped, view.cancelled, view.waiting) == (
                line.ordered,
                line.allocated,
                line.picked,
                line.shipped,
                line.cancelled,
                line.waiting,
            )
            assert view.eta_told == line.eta
            assert not line.is_pending
            told = (line.told_allocated, line.told_shipped, line.told_waiting, line.told_eta)
            assert told == (line.allocated, line.shipped, line.waiting, line.promise())


def test_a_location_that_was_shown_once_stays_up_to_date_when_nobody_names_it_any_more() -> None:
    driver = PipelineDriver()
    driver.send(order("A", ("1", "S", 1), locations=("E", "W")), NOON)
    driver.send(order("A", version=2, action=OrderAction.CANCELLED), NOON + SECOND)
    driver.send(order("B", ("1", "S", 2)), NOON + 2 * SECOND)
    shown: dict[str, Any] = driver.compacted("stock-positions")
    assert {"S/E": 2, "S/W": 2} == {key: position.waiting for key, position in shown.items()}
