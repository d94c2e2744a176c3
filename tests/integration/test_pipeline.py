"""The whole pipeline on a real Kafka: a story told in JSON and Avro, and what a read_committed consumer hears of it."""

from pathlib import Path

import msgspec
import pytest

from bostream.contract.records import AllocationType, Audience, LineStatus, NotificationType, StockPosition
from bostream.domain.sku.events import ScanType, Ticked
from bostream.embedded import Broker
from bostream.engine.ports import Record
from tests.integration.harness import Application, Follower
from tests.integration.harness_oracle import judge
from tests.stages.support import DAY, NOON, asn, clock_time, order, scan

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

ETA = NOON + 5 * DAY
TRACE = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("tracestate", b"a=1"))


def test_orders_scans_and_notices_become_allocations_lines_positions_and_notifications(
    kafka: Broker, tmp_path: Path
) -> None:
    with Application(kafka, "pipeline", tmp_path, settings={"rules.notice_window_ms": 500}) as application:
        made = application.bostream("init")
        assert 0 == made.returncode, made.stderr
        checked = application.bostream("init", "--check")
        assert (0, "") == (checked.returncode, checked.stderr)
        worker = application.start("w1")
        notifications = application.follow("notifications")

        application.send(asn("A1", ("1", "S", 10), eta=ETA), wire="avro")
        application.await_rest()
        application.send(order("O1", ("1", "S", 5), accepted_at=clock_time("09:00")), wire="json", headers=TRACE)
        application.send(order("O2", ("1", "S", 3), priority=1, accepted_at=clock_time("09:10")), wire="avro")
        application.send(order("O3", ("1", "T", 2), accepted_at=clock_time("08:00")), wire="json")
        application.await_rest()
        # The log is idle now: that notices come all the same is the work of ticks.
        await_notifications(application, notifications, 3)
        application.send(scan(ScanType.RECEIVED, 6, asn=("A1", "1"), event_id="R1"), wire="json", headers=TRACE)
        application.await_rest()
        await_notifications(application, notifications, 5)
        application.send(scan(ScanType.PICKED, 3, line=("O2", "1")), wire="avro")
        application.await_rest()
        application.send(scan(ScanType.SHIPPED, 3, line=("O2", "1")), wire="avro")
        application.await_rest()
        await_notifications(application, notifications, 6)
        notifications.close()
        application.await_rest()
        assert 0 == worker.stop()

        check_allocations(application)
        check_lines_and_positions(application)
        check_notifications(application)
        check_headers(application)
        assert has_ticks(application.read(application.documents))
        verdict = judge(application, tmp_path / "scratch", worker.state)
        assert verdict.is_good, "\n".join(verdict.findings)
        audited = application.bostream("audit")
        assert 0 == audited.returncode, audited.stdout + audited.stderr


def await_notifications(application: Application, follower: Follower, count: int) -> None:
    topic = application.topic("notifications")

    def are_there() -> bool:
        follower.poll()
        return len(follower.records[topic]) >= count

    application.await_that(are_there, f"{count} notifications")


def check_allocations(application: Application) -> None:
    found = [
        (
            *(event.sku_sequence, event.type, event.order_id, event.line_id, event.sku, event.location),
            *(event.quantity, event.reason, event.cause_type),
            *(event.ordered, event.allocated, event.picked, event.shipped, event.waiting, event.on_hand_after),
        )
        for event in application.published("allocations")
    ]
    received, picked, shipped = (f"inventory-scans/{kind}" for kind in ("RECEIVED", "PICKED", "SHIPPED"))
    allocated = AllocationType.ALLOCATED
    assert [
        (1, allocated, "O2", "1", "S", "W1", 3, "STOCK_RECEIVED", received, 3, 3, 0, 0, 0, 6),
        (2, allocated, "O1", "1", "S", "W1", 3, "STOCK_RECEIVED", received, 5, 3, 0, 0, 2, 6),
        (3, AllocationType.PICKED, "O2", "1", "S", "W1", 3, "SCANNED", picked, 3, 3, 3, 0, 0, 6),
        (4, AllocationType.SHIPPED, "O2", "1", "S", "W1", 3, "SCANNED", shipped, 3, 0, 0, 3, 0, 3),
    ] == sorted(found)


def check_lines_and_positions(application: Application) -> None:
    lines = application.compacted("backorder-lines")
    assert ["O1/1", "O3/1"] == list(lines), "the line of O2 is closed, so its key ends in a tombstone"
    first, third = lines["O1/1"], lines["O3/1"]
    assert ("S", 5, 3, 2, LineStatus.PARTIALLY_ALLOCATED, ETA, "A1/1", clock_time("09:00")) == (
        *(first.sku, first.ordered, first.allocated, first.waiting),
        *(first.status, first.eta, first.eta_source, first.accepted_at),
    )
    assert ("T", 2, 0, 2, LineStatus.WAITING, None, None) == (
        *(third.sku, third.ordered, third.allocated, third.waiting),
        *(third.status, third.eta, third.eta_source),
    )
    assert {
        "S/W1": StockPosition(
            sku="S",
            location="W1",
            on_hand=3,
            allocated=3,
            picked=0,
            quarantined=0,
            available=0,
            deficit=0,
            waiting=2,
            inbound=4,
            next_eta=ETA,
        )
    } == application.compacted("stock-positions")


def check_notifications(application: Application) -> None:
    told: dict[str, list[tuple[NotificationType, int, int | None]]] = {}
    for notice in application.published("notifications"):
        (line,) = notice.lines
        assert (Audience.CUSTOMER, "C1", 1) == (notice.audience, notice.customer_id, notice.order_version)
        told.setdefault(notice.order_id, []).append((notice.type, line.waiting, line.eta))
    assert {
        "O1": [(NotificationType.BACKORDERED, 5, ETA), (NotificationType.PARTIALLY_ALLOCATED, 2, ETA)],
        "O2": [
            (NotificationType.BACKORDERED, 3, ETA),
            (NotificationType.ALLOCATED, 0, None),
            (NotificationType.SHIPPED, 0, None),
        ],
        "O3": [(NotificationType.BACKORDERED, 2, None)],
    } == told


def check_headers(application: Application) -> None:
    """CloudEvents in binary mode; the trace of an input goes on in what it caused."""
    records = application.read(application.topic("allocations"))
    by_id = {dict(record.headers)["ce_id"]: record for record in records}
    assert len(by_id) == len(records)
    for event in application.published("allocations"):
        record = by_id[event.event_id.encode()]
        headers = dict(record.headers)
        expected = {
            "ce_specversion": b"1.0",
            "ce_id": event.event_id.encode(),
            "ce_source": f"/bostream/{application.name}".encode(),
            "ce_type": b"bostream.allocation.v1",
            "ce_time": b"2025-11-25T12:00:00.000000Z",
            "ce_subject": event.order_id.encode(),
            "content-type": b"application/avro",
            "bostream-cause": event.cause_event_id.encode(),
        }
        is_traced = event.cause_event_id == "R1"
        assert expected | (dict(TRACE) if is_traced else {}) == headers
        assert event.order_id.encode() == record.key


def has_ticks(records: list[Record]) -> bool:
    return any(_is_tick(record.value or b"") for record in records)


def _is_tick(value: bytes) -> bool:
    try:
        msgspec.msgpack.decode(value, type=Ticked)
    except msgspec.DecodeError:
        return False
    return True
