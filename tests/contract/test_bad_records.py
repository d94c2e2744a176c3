"""Every way in which a record can be bad, in both formats, ends in a reason and never in another exception."""

import json
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from bostream.contract.codec import InputReader, RecordReader
from bostream.contract.reasons import BadRecord
from bostream.contract.records import INPUT_RECORDS
from bostream.errors import BadRecordError
from tests.contract.examples import (
    EXAMPLES,
    NOON,
    SCHEMAS,
    Plain,
    as_json,
    asn,
    bare_avro,
    order,
    policy,
    scan,
    single_object,
)

LINE = {"line_id": "1", "sku": "S", "quantity": 1}
READERS = {topic: RecordReader(topic, SCHEMAS, {1: SCHEMAS.newest(topic)}.get) for topic in EXAMPLES}
LONG_ID = "i" * 256
UNENDING_STRING = b'{"a":[' + b"[]," * 70 + b'"' + b'\\"' * 500_000
"""Many brackets, and a string without an end full of quotes: looking for an end from each of them would take hours."""

SECRET = "do-not-quote-me"


def refusal(topic: str, value: bytes | None) -> BadRecordError:
    with pytest.raises(BadRecordError) as caught:
        READERS[topic].read(value)
    return caught.value


# --- what both formats can express

BAD_VALUES: list[tuple[str, Plain, str, str]] = [
    *(("orders", order(**{name: ""}), "EMPTY_ID", name) for name in ("event_id", "order_id", "customer_id")),
    ("orders", order(locations=["W1", ""]), "EMPTY_ID", "locations"),
    ("orders", order(lines=[LINE | {"line_id": ""}]), "EMPTY_ID", "lines[0].line_id"),
    ("orders", order(lines=[LINE | {"sku": ""}]), "EMPTY_ID", "lines[0].sku"),
    ("orders", order(lines=[LINE | {"quantity": -1}]), "OUT_OF_RANGE", "lines[0].quantity"),
    ("orders", order(lines=[LINE | {"quantity": 10**12 + 1}]), "OUT_OF_RANGE", "lines[0].quantity"),
    ("orders", order(lines=[LINE, LINE | {"sku": "T"}]), "DUPLICATE_LINE", "line_id"),
    ("orders", order(type="CANCELLED", lines=[LINE, LINE]), "DUPLICATE_LINE", "line_id"),
    ("orders", order(lines=[]), "MISSING_FIELD", "lines"),
    ("orders", order(type="AMENDED", lines=[]), "MISSING_FIELD", "lines"),
    ("orders", order(accepted_at=None), "MISSING_FIELD", "accepted_at"),
    ("orders", order(type="AMENDED", accepted_at=None), "MISSING_FIELD", "accepted_at"),
    ("orders", order(order_version=-1), "OUT_OF_RANGE", "order_version"),
    ("orders", order(priority=10), "OUT_OF_RANGE", "priority"),
    ("orders", order(priority=-1), "OUT_OF_RANGE", "priority"),
    ("orders", order(occurred_at=NOON * 1000), "OUT_OF_RANGE", "occurred_at"),
    ("orders", order(need_by=-(2**63)), "OUT_OF_RANGE", "need_by"),
    ("orders", order(order_id=LONG_ID), "TOO_LONG", "order_id"),
    ("orders", order(source=LONG_ID), "TOO_LONG", "source"),
    ("orders", order(locations=["W"] * 101), "TOO_LARGE", "locations"),
    *(("inventory-scans", scan(**{name: ""}), "EMPTY_ID", name) for name in ("event_id", "sku", "location")),
    *(("inventory-scans", scan(**{name: ""}), "EMPTY_ID", name) for name in ("order_id", "line_id", "asn_id")),
    *(
        ("inventory-scans", scan(type=name, quantity=quantity, order_id="o", line_id="1"), "OUT_OF_RANGE", "quantity")
        for name in (
            *("RECEIVED", "PICKED", "UNPICKED", "SHIPPED", "SHORTED", "RETURNED"),
            *("QUARANTINED", "UNQUARANTINED", "TRANSFERRED_OUT", "TRANSFERRED_IN"),
        )
        for quantity in (0, -1)
    ),
    ("inventory-scans", scan(type="COUNTED", quantity=-1), "OUT_OF_RANGE", "quantity"),
    ("inventory-scans", scan(type="ADJUSTED", quantity=0), "OUT_OF_RANGE", "quantity"),
    ("inventory-scans", scan(type="ADJUSTED", quantity=-(10**12) - 1), "OUT_OF_RANGE", "quantity"),
    ("inventory-scans", scan(type="COUNTED", expected_quantity=2**62), "OUT_OF_RANGE", "expected_quantity"),
    *(
        (
            "inventory-scans",
            scan(type=name) | {"order_id": "o", "line_id": "1"} | {missing: None},
            "MISSING_FIELD",
            missing,
        )
        for name in ("PICKED", "UNPICKED", "SHIPPED", "SHORTED")
        for missing in ("order_id", "line_id")
    ),
    ("inventory-scans", scan(asn_id=None), "MISSING_FIELD", "asn_id"),
    ("inventory-scans", scan(reason="x" * 4097), "TOO_LONG", "reason"),
    *(("asns", asn(**{name: ""}), "EMPTY_ID", name) for name in ("event_id", "asn_id", "location")),
    ("asns", asn(asn_version=-1), "OUT_OF_RANGE", "asn_version"),
    ("asns", asn(lines=[LINE | {"quantity": -1}]), "OUT_OF_RANGE", "lines[0].quantity"),
    ("asns", asn(lines=[LINE, LINE]), "DUPLICATE_LINE", "line_id"),
    *(("allocation-policies", policy(**{name: ""}), "EMPTY_ID", name) for name in ("event_id", "policy_id", "sku")),
    ("allocation-policies", policy(version=-1), "OUT_OF_RANGE", "version"),
    ("allocation-policies", policy(max_backlog_units=-1), "OUT_OF_RANGE", "max_backlog_units"),
    ("allocation-policies", policy(max_wait_days=36_501), "OUT_OF_RANGE", "max_wait_days"),
    (
        "allocation-policies",
        policy(order_complete_hold_after_hours=-1),
        "OUT_OF_RANGE",
        "order_complete_hold_after_hours",
    ),
]


@pytest.mark.parametrize("encode", [single_object, as_json])
@pytest.mark.parametrize(("topic", "plain", "reason", "field"), BAD_VALUES)
def test_a_value_outside_the_contract_is_bad_in_either_format(
    encode: Any, topic: str, plain: Plain, reason: str, field: str
) -> None:
    refused = refusal(topic, encode(topic, plain))
    assert reason == refused.reason
    assert field in refused.detail


@pytest.mark.parametrize("encode", [single_object, as_json])
@pytest.mark.parametrize(
    ("topic", "plain"),
    [
        ("orders", order(lines=[LINE | {"quantity": 0}])),
        ("orders", order(lines=[LINE | {"quantity": 10**12}], order_version=2**63 - 1, priority=0)),
        ("orders", order(order_id="i" * 255, priority=9)),
        *(("orders", order(type=name, accepted_at=None, lines=[])) for name in ("CANCELLED", "HELD", "RELEASED")),
        ("inventory-scans", scan(type="COUNTED", quantity=0, expected_quantity=-5)),
        ("inventory-scans", scan(type="ADJUSTED", quantity=-1)),
        ("inventory-scans", scan(asn_line_id=None)),
        ("inventory-scans", scan(type="SHIPPED", order_id="o", line_id="1")),
        ("asns", asn(lines=[])),
        ("asns", asn(lines=[LINE | {"quantity": 0}])),
        ("allocation-policies", policy(rank=[], max_wait_days=0, max_backlog_units=0)),
    ],
)
def test_a_value_at_the_edge_of_the_contract_is_good_in_either_format(encode: Any, topic: str, plain: Plain) -> None:
    READERS[topic].read(encode(topic, plain))


def test_more_lines_than_an_order_may_have_are_bad_in_either_format() -> None:
    lines = [{"line_id": f"{number}", "sku": "S", "quantity": 1} for number in range(10_001)]
    for encode in (single_object, as_json):
        assert "TOO_LARGE" == refusal("orders", encode("orders", order(lines=lines))).reason
        READERS["orders"].read(encode("orders", order(lines=lines[:-1])))


# --- what only JSON can express


@pytest.mark.parametrize("name", [name for name in order() if name in ("event_id", "occurred_at", "type", "order_id")])
def test_a_json_object_without_a_required_field_is_bad(name: str) -> None:
    plain = order()
    del plain[name]
    refused = refusal("orders", as_json("orders", plain))
    assert "MISSING_FIELD" == refused.reason
    assert name in refused.detail


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"order_version": True}, "WRONG_TYPE"),
        ({"order_version": 1.5}, "WRONG_TYPE"),
        ({"order_version": 1.0}, "WRONG_TYPE"),
        ({"order_version": "1"}, "WRONG_TYPE"),
        ({"order_version": None}, "WRONG_TYPE"),
        ({"order_version": [1]}, "WRONG_TYPE"),
        ({"order_version": 2**63}, "OUT_OF_RANGE"),
        ({"order_version": 10**400}, "OUT_OF_RANGE"),
        ({"order_id": 7}, "WRONG_TYPE"),
        ({"order_id": None}, "WRONG_TYPE"),
        ({"source": None}, "WRONG_TYPE"),
        ({"occurred_at": True}, "WRONG_TYPE"),
        ({"occurred_at": 1.5}, "WRONG_TYPE"),
        ({"occurred_at": None}, "WRONG_TYPE"),
        ({"need_by": {"long": 1}}, "WRONG_TYPE"),
        ({"lines": {}}, "WRONG_TYPE"),
        ({"lines": [[]]}, "WRONG_TYPE"),
        ({"lines": None}, "WRONG_TYPE"),
        ({"lines": [LINE | {"quantity": True}]}, "WRONG_TYPE"),
        ({"lines": [LINE | {"quantity": 0.5}]}, "WRONG_TYPE"),
        ({"lines": [{"line_id": "1", "sku": "S"}]}, "MISSING_FIELD"),
        ({"type": "placed"}, "UNKNOWN_ENUM"),
        ({"type": ""}, "UNKNOWN_ENUM"),
        ({"type": 1}, "WRONG_TYPE"),
        ({"ship_policy": SECRET}, "UNKNOWN_ENUM"),
        ({"ship_policy": f"{SECRET} - at `$.x`"}, "UNKNOWN_ENUM"),
    ],
)
def test_a_json_value_of_the_wrong_type_is_bad(changes: Plain, reason: str) -> None:
    refused = refusal("orders", as_json("orders", order(**changes)))
    assert reason == refused.reason
    assert SECRET not in refused.detail


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "UNDECODABLE"),
        (b"   ", "UNDECODABLE"),
        (b"[]", "UNDECODABLE"),
        (b'"text"', "UNDECODABLE"),
        (b"\xef\xbb\xbf{}", "UNDECODABLE"),
        (b"{", "UNDECODABLE"),
        (b"{} {}", "UNDECODABLE"),
        (b"{'a': 1}", "UNDECODABLE"),
        (b'{"order_id": NaN}', "UNDECODABLE"),
        (b'{"order_id": 1e999}', "UNDECODABLE"),
        (b'{"order_version": ' + b"1" * 100_000 + b"}", "UNDECODABLE"),
        (b'{"order_id": "\xff"}', "UNDECODABLE"),
        (b'{"order_id": "\\ud800"}', "UNDECODABLE"),
        (b'{"order_id": "\\ude00"}', "UNDECODABLE"),
        (b'{"order_id": "\xed\xa0\x80"}', "UNDECODABLE"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "TOO_DEEP"),
        (b'{"a":' + b"[" * 100_000, "TOO_DEEP"),
        (b'{"a":"\\"[","b":' + b"[" * 64 + b"]" * 64 + b"}", "TOO_DEEP"),
        (UNENDING_STRING, "UNDECODABLE"),
        (UNENDING_STRING + b"\\", "UNDECODABLE"),
        (b"{}", "MISSING_FIELD"),
    ],
)
def test_bytes_that_are_not_a_json_object_within_bounds_are_bad(value: bytes, reason: str) -> None:
    assert reason == refusal("orders", value).reason


def test_nesting_up_to_the_bound_is_no_fault() -> None:
    plain = json.dumps(order())[:-1].encode()
    READERS["orders"].read(plain + b',"a":' + b"[" * 63 + b"]" * 63 + b"}")
    assert "TOO_DEEP" == refusal("orders", plain + b',"a":' + b"[" * 64 + b"]" * 64 + b"}").reason


# --- what only Avro can express

SCAN_BYTES = single_object("inventory-scans", scan())
SCAN_TYPE_AT = 10 + len(bytes.fromhex("06652d32")) + 8 + len(bytes.fromhex("06776d73"))
"""Where the enum's number stands: after the header, event_id, occurred_at and source."""


def test_an_avro_value_cut_short_at_any_byte_is_bad() -> None:
    for topic, plain in EXAMPLES.items():
        value = single_object(topic, plain)
        for size in range(len(value)):
            assert "UNDECODABLE" == refusal(topic, value[:size]).reason


def test_bytes_after_the_avro_value_are_bad() -> None:
    assert "TRAILING_BYTES" == refusal("inventory-scans", SCAN_BYTES + b"\x00").reason


def test_a_symbol_number_beyond_the_enum_is_bad() -> None:
    assert 0 == SCAN_BYTES[SCAN_TYPE_AT]
    # fastavro takes a negative number for one from the end of the list; a producer's library never writes one
    for number in (b"\x18", b"\x7e"):
        value = SCAN_BYTES[:SCAN_TYPE_AT] + number + SCAN_BYTES[SCAN_TYPE_AT + 1 :]
        assert "UNKNOWN_ENUM" == refusal("inventory-scans", value).reason


def test_a_fingerprint_that_nobody_registered_is_bad() -> None:
    assert "UNKNOWN_SCHEMA" == refusal("orders", b"\xc3\x01" + bytes(8) + bare_avro("orders", order())).reason


def test_a_header_cut_short_is_bad() -> None:
    for value in (b"\xc3\x01", b"\xc3\x01" + bytes(7), b"\x00", b"\x00\x00\x00\x00", b"\xc3", b"\xc3\x02"):
        assert "UNDECODABLE" == refusal("orders", value).reason


def test_lengths_that_promise_more_than_there_is_cost_nothing() -> None:
    header = b"\xc3\x01" + SCHEMAS.newest("orders").fingerprint
    assert "UNDECODABLE" == refusal("orders", header + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01").reason
    body = bare_avro("orders", order(lines=[]))
    assert b"\x00" == body[-1:]
    assert "UNDECODABLE" == refusal("orders", header + body[:-1] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01").reason


# --- any format


def test_a_value_above_the_limit_is_bad_and_the_limit_can_be_set() -> None:
    value = b" " * 1_048_576 + b"{}"
    assert "TOO_LARGE" == refusal("orders", value).reason
    small = InputReader("orders", SCHEMAS, value_bytes_max=len(SCAN_BYTES))
    with pytest.raises(BadRecordError, match=f"more than {len(SCAN_BYTES)} bytes"):
        small.read(None, SCAN_BYTES + b"\x00")


def read_or_refuse(topic: str, value: bytes) -> None:
    """Anything else than a record or a documented reason fails the test."""
    assert reason_or_read(topic, value) in {"READ", *BadRecord}


def reason_or_read(topic: str, value: bytes) -> str:
    try:
        READERS[topic].read(value)
    except BadRecordError as error:
        return error.reason
    return "READ"


@pytest.mark.parametrize("topic", INPUT_RECORDS)
@given(garbage=st.binary(max_size=300), start=st.sampled_from(["bare", "single", "confluent", "json"]))
def test_garbage_is_refused_with_a_reason(topic: str, garbage: bytes, start: str) -> None:
    header = {
        "bare": b"",
        "single": b"\xc3\x01" + SCHEMAS.newest(topic).fingerprint,
        "confluent": b"\x00\x00\x00\x00\x01",
        "json": b"{",
    }[start]
    read_or_refuse(topic, header + garbage)


@pytest.mark.parametrize("encode", [single_object, as_json])
@pytest.mark.parametrize("topic", EXAMPLES)
@given(data=st.data())
def test_a_valid_value_with_one_byte_changed_is_read_or_refused(encode: Any, topic: str, data: st.DataObject) -> None:
    value = bytearray(encode(topic, EXAMPLES[topic]))
    position = data.draw(st.integers(0, len(value) - 1))
    value[position] = data.draw(st.integers(0, 255))
    read_or_refuse(topic, bytes(value))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(name=st.sampled_from(sorted(order())), thing=ANYTHING)
@example(name="locations", thing=[[]])
@example(name="occurred_at", thing="\x00")
def test_anything_in_place_of_a_field_is_read_or_refused(name: str, thing: Any) -> None:
    read_or_refuse("orders", as_json("orders", order(**{name: thing})))
