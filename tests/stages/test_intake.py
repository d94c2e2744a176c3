"""Intake: every record leaves an event or a dead letter behind (I12)."""

import json
from typing import Any

import msgspec
import pytest

from bostream.contract.codec import InputReader
from bostream.contract.partitioner import partition_for
from bostream.contract.schemas import load_schemas
from bostream.domain.cause import Cause
from bostream.domain.documents.events import AsnReceived, DocumentRecord, OrderAction, OrderReceived, WantedLine
from bostream.domain.sku.events import ScanType, ShipPolicy, SkuRecord, StockScanned, Terms
from bostream.engine.ports import Headers, Output, Record
from bostream.errors import ConfigurationError, TransientError
from bostream.stages.common import InternalLogs
from bostream.stages.intake import TRACE_BYTES_MAX, IntakeStage, make_intake
from bostream.testing.driver import DriverClock
from tests.contract.examples import NOON, asn as plain_asn, order as plain_order, scan as plain_scan

SCHEMAS = load_schemas()
PARTITIONS = 8


def take_in(
    topic: str,
    value: bytes | None,
    *,
    key: bytes | None = b"k",
    timestamp: int = NOON,
    headers: Headers = (),
    now: int = NOON + 1,
    dead_letter_partitions: dict[str, int] | None = None,
) -> Output:
    stages = make_intake(
        app="shop",
        partitions=PARTITIONS,
        clock=DriverClock(now),
        make_reader=lambda name: InputReader(name, SCHEMAS),
        prefix="test.",
        dead_letter_partitions=dead_letter_partitions,
    )
    out: list[Output] = []
    stages[f"test.{topic}"].process(Record(f"test.{topic}", 3, 17, timestamp, key, value, headers), out.append)
    (output,) = out
    return output


def as_json(plain: dict[str, Any]) -> bytes:
    return json.dumps(plain).encode()


def test_an_order_becomes_an_event_of_the_documents_log() -> None:
    headers = (("traceparent", b"00-1-2-01"), ("tracestate", b"a=b"))
    output = take_in("orders", as_json(plain_order()), headers=headers)
    key = b"order/o-1"
    assert ("test.shop-documents", key, partition_for(key, PARTITIONS), NOON) == (
        output.topic,
        output.key,
        output.partition,
        output.timestamp,
    )
    assert OrderReceived(
        Cause("e-1", "orders/PLACED", NOON, NOON, "00-1-2-01", "a=b"),
        "o-1",
        OrderAction.PLACED,
        Terms(1, NOON - 1, "c-1", "GOLD", "WEB", 5, None, NOON + 1, ShipPolicy.PARTIAL, ("W1", "W2")),
        (WantedLine("1", "S", 3), WantedLine("2", "T", 0)),
        "oms",
    ) == msgspec.msgpack.decode(output.value or b"", type=DocumentRecord)


def test_a_scan_becomes_an_event_of_the_skus_log() -> None:
    output = take_in("inventory-scans", as_json(plain_scan(reason="found it")))
    assert ("test.shop-skus", b"S", partition_for(b"S", PARTITIONS)) == (output.topic, output.key, output.partition)
    assert StockScanned(
        Cause("e-2", "inventory-scans/RECEIVED", NOON, NOON),
        "S",
        ScanType.RECEIVED,
        "W1",
        6,
        "wms",
        asn_id="a-1",
        asn_line_id="1",
        reason="found it",
    ) == msgspec.msgpack.decode(output.value or b"", type=SkuRecord)


def test_an_asn_becomes_an_event_of_the_documents_log_under_a_key_of_its_own() -> None:
    output = take_in("asns", as_json(plain_asn(asn_id="o-1")))
    assert ("test.shop-documents", b"asn/o-1") == (output.topic, output.key)
    event = msgspec.msgpack.decode(output.value or b"", type=DocumentRecord)
    assert isinstance(event, AsnReceived)
    assert "o-1" == event.asn_id


def test_a_timestamp_from_the_future_is_held_back_and_the_cause_keeps_it() -> None:
    output = take_in("inventory-scans", as_json(plain_scan()), timestamp=NOON + 5, now=NOON)
    event = msgspec.msgpack.decode(output.value or b"", type=SkuRecord)
    assert isinstance(event, StockScanned)
    assert (NOON, NOON + 5) == (output.timestamp, event.cause.received_at)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((), ("", "")),
        ((("tracestate", b"a=b"),), ("", "")),
        ((("traceparent", None),), ("", "")),
        ((("traceparent", "µ".encode()),), ("", "")),
        ((("traceparent", b"x" * (TRACE_BYTES_MAX + 1)), ("tracestate", b"a")), ("", "")),
        ((("traceparent", b"p"), ("tracestate", b"\xff")), ("p", "")),
    ],
)
def test_a_trace_context_that_cannot_be_passed_on_is_left_out(headers: Headers, expected: tuple[str, str]) -> None:
    output = take_in("inventory-scans", as_json(plain_scan()), headers=headers)
    event = msgspec.msgpack.decode(output.value or b"", type=SkuRecord)
    assert isinstance(event, StockScanned)
    assert expected == (event.cause.traceparent, event.cause.tracestate)


def without(plain: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in plain.items() if name != field}


LINE = {"line_id": "1", "sku": "S", "quantity": 3}
BAD: list[tuple[str, bytes | None, str]] = [
    ("orders", None, "NULL_VALUE"),
    ("orders", b"", "UNDECODABLE"),
    ("orders", b"hello", "UNDECODABLE"),
    ("orders", b"{", "UNDECODABLE"),
    ("orders", b"\xc3\x01", "UNDECODABLE"),
    ("orders", b"\xc3\x01" + b"12345678", "UNKNOWN_SCHEMA"),
    ("orders", b"\x00\x00\x00\x00\x01x", "UNKNOWN_SCHEMA"),
    ("orders", as_json(without(plain_order(), "event_id")), "MISSING_FIELD"),
    ("orders", as_json(plain_order(order_id="")), "EMPTY_ID"),
    ("orders", as_json(plain_order(type="LOST")), "UNKNOWN_ENUM"),
    ("orders", as_json(plain_order(accepted_at=None)), "MISSING_FIELD"),
    ("orders", as_json(plain_order(lines=[])), "MISSING_FIELD"),
    ("orders", as_json(plain_order(lines=[LINE, LINE])), "DUPLICATE_LINE"),
    ("orders", as_json(plain_order(lines=[LINE | {"quantity": -1}])), "OUT_OF_RANGE"),
    ("orders", as_json(plain_order(lines=[LINE | {"quantity": True}])), "WRONG_TYPE"),
    ("orders", as_json(plain_order(lines=[LINE | {"quantity": 1.5}])), "WRONG_TYPE"),
    ("orders", as_json(plain_order(order_version=2**63)), "OUT_OF_RANGE"),
    ("orders", as_json(plain_order(occurred_at="2025-11-25T12:00:00")), "WRONG_TYPE"),
    ("orders", as_json(plain_order(type="HELD")), "NOT_SUPPORTED"),
    ("orders", as_json(plain_order(type="RELEASED")), "NOT_SUPPORTED"),
    ("orders", as_json(plain_order(ship_policy="ORDER_COMPLETE")), "NOT_SUPPORTED"),
    ("inventory-scans", None, "NULL_VALUE"),
    ("inventory-scans", as_json(plain_scan(quantity=0)), "OUT_OF_RANGE"),
    ("inventory-scans", as_json(plain_scan(type="COUNTED", quantity=-1)), "OUT_OF_RANGE"),
    ("inventory-scans", as_json(plain_scan(type="ADJUSTED", quantity=0)), "OUT_OF_RANGE"),
    ("inventory-scans", as_json(plain_scan(type="PICKED", order_id=None, line_id="1")), "MISSING_FIELD"),
    ("inventory-scans", as_json(plain_scan(type="SHIPPED", order_id="o", line_id=None)), "MISSING_FIELD"),
    ("asns", None, "NULL_VALUE"),
    ("asns", as_json(plain_asn(location="")), "EMPTY_ID"),
    ("asns", as_json(without(plain_asn(), "eta")), "MISSING_FIELD"),
]


@pytest.mark.parametrize(("topic", "value", "reason"), BAD)
def test_a_bad_record_becomes_a_dead_letter_with_its_bytes_and_the_reason(
    topic: str, value: bytes | None, reason: str
) -> None:
    own = (("mine", b"1"), ("null", None))
    output = take_in(topic, value, key=b"\xff", headers=own, dead_letter_partitions={topic: 4})
    assert (f"test.{topic}.dlq", b"\xff", value, 3) == (output.topic, output.key, output.value, output.partition)
    assert own == output.headers[:2]
    headers = dict(output.headers)
    assert reason.encode() == headers["bostream.dlq.reason"]
    assert (b"17", b"3", f"test.{topic}".encode(), f"intake-{topic}".encode()) == (
        headers["__connect.errors.offset"],
        headers["__connect.errors.partition"],
        headers["__connect.errors.topic"],
        headers["__connect.errors.stage"],
    )


def test_policies_are_not_supported_yet() -> None:
    logs = InternalLogs("shop", 1)
    stage = IntakeStage("allocation-policies", InputReader("allocation-policies", SCHEMAS), logs, DriverClock())
    out: list[Output] = []
    stage.process(Record("allocation-policies", 0, 0, NOON, b"*", None), out.append)
    assert b"NOT_SUPPORTED" == dict(out[0].headers)["bostream.dlq.reason"]


def test_a_registry_that_is_away_is_no_fault_of_the_record() -> None:
    def resolve(schema_id: int) -> None:
        raise TransientError(f"cannot look up {schema_id}")

    stages = make_intake(
        app="shop",
        partitions=1,
        clock=DriverClock(),
        make_reader=lambda name: InputReader(name, SCHEMAS, resolve),
    )
    out: list[Output] = []
    with pytest.raises(TransientError):
        stages["orders"].process(Record("orders", 0, 0, NOON, None, b"\x00\x00\x00\x00\x01x"), out.append)
    assert [] == out


def test_logs_without_partitions_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        InternalLogs("shop", 0)
