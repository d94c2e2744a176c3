"""Bytes <-> records: exact bytes, round trips, versions and framing."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given, strategies as st

from bostream.contract.codec import (
    InputReader,
    RecordReader,
    RecordWriter,
    confluent_writer,
    json_writer,
    single_object_writer,
)
from bostream.contract.json_format import read_json
from bostream.contract.records import AllocationEvent, AllocationPolicy, AllocationType, OrderEvent, record_type
from bostream.contract.schemas import Schema, Schemas, load_schemas, parse_schema
from bostream.contract.validation import to_record
from bostream.errors import BadRecordError, TransientError
from tests.contract.examples import (
    EXAMPLES,
    NOON,
    RAW_SCHEMAS,
    SCHEMAS,
    Plain,
    as_json,
    bare_avro,
    order,
    policy,
    single_object,
)

POLICY_BYTES = bytes.fromhex(
    "0265"  # event_id "e"
    "02"  # occurred_at 1
    "0270"  # policy_id "p"
    "06"  # version 3
    "022a"  # sku "*"
    "04000800"  # rank: 2 items, PRIORITY, ACCEPTED_AT, end
    "00"  # tier_order: end
    "020657454200"  # channel_order: 1 item, "WEB", end
    "00"  # allow_backorder false
    "00"  # max_backlog_units: null
    "023c"  # max_wait_days: int, 30
    "00"  # order_complete_hold_after_hours: null
)
POLICY = AllocationPolicy(
    event_id="e",
    occurred_at=1,
    policy_id="p",
    version=3,
    sku="*",
    channel_order=("WEB",),
    allow_backorder=False,
    max_wait_days=30,
)
POSITION_BYTES = bytes.fromhex(
    "0253"  # sku "S"
    "045731"  # location "W1"
    "01"  # on_hand -1
    "8001"  # allocated 64
    "00"  # picked 0
    "00"  # quarantined 0
    "00"  # available 0
    "8201"  # deficit 65
    "00"  # waiting 0
    "0a"  # inbound 5
    "0204"  # next_eta: time, 2
)


def record_of(topic: str) -> Any:
    return to_record(EXAMPLES[topic], record_type(topic))


def registry(**schemas: Schema) -> Callable[[int], Schema | None]:
    by_id = {int(name.removeprefix("id")): schema for name, schema in schemas.items()}
    return by_id.get


def reason_of(read: Callable[[], object]) -> str:
    with pytest.raises(BadRecordError) as caught:
        read()
    return caught.value.reason


# --- exact bytes


def test_single_object_framing_is_marker_fingerprint_value() -> None:
    framed = bytes.fromhex("c3014a825b0a80247000") + POLICY_BYTES
    assert POLICY == RecordReader("allocation-policies", SCHEMAS).read(framed)
    assert framed == single_object_writer("allocation-policies", SCHEMAS).write(POLICY)

    position = bytes.fromhex("c301275bdd36c7a69f3f") + POSITION_BYTES
    assert record_of("stock-positions") == RecordReader("stock-positions", SCHEMAS).read(position)
    assert position == single_object_writer("stock-positions", SCHEMAS).write(record_of("stock-positions"))


def test_confluent_framing_is_zero_big_endian_id_value() -> None:
    framed = bytes.fromhex("0000000102") + POLICY_BYTES
    reader = RecordReader("allocation-policies", SCHEMAS, registry(id258=SCHEMAS.newest("allocation-policies")))
    assert POLICY == reader.read(framed)
    assert framed == confluent_writer("allocation-policies", SCHEMAS, 258).write(POLICY)


def test_json_is_a_plain_object_with_times_in_utc_and_microseconds() -> None:
    expected = EXAMPLES["stock-positions"] | {"next_eta": "1970-01-01T00:00:00.000002Z"}
    assert expected == json.loads(json_writer("stock-positions", SCHEMAS).write(record_of("stock-positions")))


def test_times_inside_lines_are_written_as_text_and_read_back() -> None:
    written = json_writer("notifications", SCHEMAS).write(record_of("notifications"))
    (line,) = json.loads(written)["lines"]
    assert ("2025-11-25T12:00:00.000000Z", None) == (line["eta"], line["previous_eta"])
    assert record_of("notifications") == RecordReader("notifications", SCHEMAS).read(written)


@pytest.mark.parametrize("schema_id", [-1, 2**32])
def test_a_schema_id_that_does_not_fit_is_refused_before_anything_is_written(schema_id: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        confluent_writer("allocations", SCHEMAS, schema_id)


# --- round trips


@pytest.mark.parametrize("topic", EXAMPLES)
def test_every_format_gives_the_same_record(topic: str) -> None:
    expected = record_of(topic)
    reader = RecordReader(topic, SCHEMAS, registry(id7=SCHEMAS.newest(topic)))
    writers = (single_object_writer(topic, SCHEMAS), confluent_writer(topic, SCHEMAS, 7), json_writer(topic, SCHEMAS))
    assert [expected] * 3 == [reader.read(writer.write(expected)) for writer in writers]
    assert [expected] * 2 == [reader.read(encode(topic, EXAMPLES[topic])) for encode in (single_object, as_json)]
    assert ["application/avro", "application/avro", "application/json"] == [one.content_type for one in writers]


def values(schema: Any) -> st.SearchStrategy[Any]:
    """Any value of a schema here, kept within the bounds of the contract's times."""
    if isinstance(schema, list):
        return st.one_of([values(branch) for branch in schema])
    if isinstance(schema, dict):
        if schema["type"] == "record":
            return st.fixed_dictionaries({field["name"]: values(field["type"]) for field in schema["fields"]})
        if schema["type"] == "array":
            return st.lists(values(schema["items"]), max_size=3)
        if schema["type"] == "enum":
            return st.sampled_from(schema["symbols"])
        return st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
    return {
        "null": st.none(),
        "string": st.text(max_size=100),
        "long": st.integers(-(2**63), 2**63 - 1),
        "int": st.integers(-(2**31), 2**31 - 1),
        "boolean": st.booleans(),
    }[schema]


@pytest.mark.parametrize("topic", ["allocations", "notifications", "backorder-lines", "stock-positions"])
@given(data=st.data())
def test_any_output_is_written_as_fastavro_would_and_read_back_from_every_format(
    topic: str, data: st.DataObject
) -> None:
    plain: Plain = data.draw(values(SCHEMAS.newest(topic).parsed))
    record = to_record(plain, record_type(topic))
    reader = RecordReader(topic, SCHEMAS)
    written = single_object_writer(topic, SCHEMAS).write(record)
    assert single_object(topic, plain) == written
    assert record == reader.read(written)
    assert record == reader.read(json_writer(topic, SCHEMAS).write(record))
    assert plain == fastavro.schemaless_reader(io.BytesIO(written[10:]), RAW_SCHEMAS[topic], None)


# --- JSON in all its spellings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-11-25T12:00:00Z", NOON),
        ("2025-11-25t12:00:00z", NOON),
        ("2025-11-25T12:00:00.000001Z", NOON + 1),
        ("2025-11-25T14:30:00.5+02:30", NOON + 500_000),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ],
)
def test_times_may_be_rfc_3339_text_with_a_zone(text: str, expected: int) -> None:
    record = RecordReader("orders", SCHEMAS).read(as_json("orders", order(occurred_at=text, need_by=text)))
    assert isinstance(record, OrderEvent)
    assert (expected, expected) == (record.occurred_at, record.need_by)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2025-11-25T12:00:00", "WRONG_TYPE"),
        ("2025-11-25", "WRONG_TYPE"),
        ("1764072000000000", "WRONG_TYPE"),
        ("", "WRONG_TYPE"),
        ("2025-13-25T12:00:00Z", "WRONG_TYPE"),
        ("2025-11-25T12:00:00+99:00", "WRONG_TYPE"),
        ("10000-01-01T00:00:00Z", "WRONG_TYPE"),
        ("9999-12-31T23:59:59-01:00", "OUT_OF_RANGE"),
        ("0001-01-01T00:00:00+01:00", "OUT_OF_RANGE"),
    ],
)
def test_a_time_text_without_a_zone_or_outside_the_calendar_is_bad(text: str, reason: str) -> None:
    value = as_json("orders", order(occurred_at=text))
    assert reason == reason_of(lambda: RecordReader("orders", SCHEMAS).read(value))


def test_json_may_start_with_blanks_hold_unknown_fields_and_leave_out_what_has_a_default() -> None:
    needed = ("event_id", "occurred_at", "type", "order_id", "order_version", "customer_id")
    plain = {name: order()[name] for name in needed} | {"type": "CANCELLED", "added": {"later": [1.5, None]}}
    record = RecordReader("orders", SCHEMAS).read(b" \r\n\t" + as_json("orders", plain))
    assert isinstance(record, OrderEvent)
    assert ("", 5, "PARTIAL", (), ()) == (
        record.source,
        record.priority,
        record.ship_policy,
        record.locations,
        record.lines,
    )


def test_brackets_inside_text_do_not_count_as_nesting_and_many_lines_are_no_depth() -> None:
    lines = [{"line_id": str(number), "sku": '[{"' * 20, "quantity": 1} for number in range(200)]
    record = RecordReader("orders", SCHEMAS).read(as_json("orders", order(lines=lines)))
    assert isinstance(record, OrderEvent)
    assert 200 == len(record.lines)


def test_a_location_named_twice_counts_once_at_its_first_place() -> None:
    for encode in (single_object, as_json):
        record = RecordReader("orders", SCHEMAS).read(encode("orders", order(locations=["W2", "W1", "W2"])))
        assert isinstance(record, OrderEvent)
        assert ("W2", "W1") == record.locations


def test_json_that_is_no_object_is_bad_wherever_it_comes_from() -> None:
    assert "WRONG_TYPE" == reason_of(lambda: read_json(b"[]"))


# --- schemas and registries


def test_without_a_registry_confluent_framing_is_not_understood() -> None:
    value = b"\x00\x00\x00\x00\x01" + bare_avro("orders", order())
    assert "UNKNOWN_SCHEMA" == reason_of(lambda: RecordReader("orders", SCHEMAS).read(value))


def test_an_id_that_the_registry_lacks_is_bad_and_a_registry_that_is_away_is_not_the_records_fault() -> None:
    value = b"\x00\x00\x00\x00\x01" + bare_avro("orders", order())
    assert "UNKNOWN_SCHEMA" == reason_of(lambda: RecordReader("orders", SCHEMAS, lambda _: None).read(value))

    def away(_schema_id: int) -> Schema | None:
        raise TransientError("no answer")

    with pytest.raises(TransientError):
        RecordReader("orders", SCHEMAS, away).read(value)


def test_a_schema_of_another_topic_is_incompatible_every_time() -> None:
    reader = RecordReader("orders", SCHEMAS)
    for _ in range(2):
        assert "INCOMPATIBLE_SCHEMA" == reason_of(lambda: reader.read(single_object("asns", EXAMPLES["asns"])))
    assert record_of("orders") == reader.read(single_object("orders", order()))


def test_a_registered_schema_without_bounds_is_incompatible() -> None:
    schema = json.loads(SCHEMAS.newest("orders").text)
    schema["fields"].insert(0, {"name": "junk", "type": {"type": "array", "items": "null"}})
    reader = RecordReader("orders", SCHEMAS, registry(id1=parse_schema(json.dumps(schema))))
    value = b"\x00\x00\x00\x00\x01" + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    assert "INCOMPATIBLE_SCHEMA" == reason_of(lambda: reader.read(value))


def two_versions(directory: Path, topic: str) -> Schemas:
    """The topic's schemas with a second version that has a field and (outputs) a symbol more."""
    folder = directory / f"{topic}-value"
    folder.mkdir()
    second = json.loads(SCHEMAS.newest(topic).text)
    second["fields"].insert(0, {"name": "added", "type": "string", "default": "none"})
    for field in second["fields"]:
        if field["name"] == "type" and "default" in field["type"]:
            field["type"]["symbols"].append("REGRETTED")
    (folder / "v1.avsc").write_text(SCHEMAS.newest(topic).text)
    (folder / "v2.avsc").write_text(json.dumps(second))
    return load_schemas(directory)


def test_a_value_of_an_older_version_is_read_with_the_newest(tmp_path: Path) -> None:
    schemas = two_versions(tmp_path, "orders")
    assert record_of("orders") == RecordReader("orders", schemas).read(single_object("orders", order()))


def test_a_value_of_a_newer_version_is_read_with_ours_and_its_new_symbol_as_unknown(tmp_path: Path) -> None:
    newer = two_versions(tmp_path, "allocations").newest("allocations")
    schema = fastavro.parse_schema(json.loads(newer.text.replace(', "logicalType": "timestamp-micros"', "")))
    out = io.BytesIO(b"\x00\x00\x00\x00\x09")
    out.seek(5)
    fastavro.schemaless_writer(out, schema, EXAMPLES["allocations"] | {"added": "x", "type": "REGRETTED"})
    record = RecordReader("allocations", SCHEMAS, registry(id9=newer)).read(out.getvalue())
    assert isinstance(record, AllocationEvent)
    assert msgspec.structs.replace(record_of("allocations"), type=AllocationType.UNKNOWN) == record


# --- keys of policies


def test_a_null_value_of_a_policy_means_back_to_the_default_and_needs_a_key() -> None:
    reader = InputReader("allocation-policies", SCHEMAS)
    assert reader.read(b"S", None) is None
    assert "KEY_MISSING" == reason_of(lambda: reader.read(None, None))
    assert "KEY_MISSING" == reason_of(lambda: reader.read(b"", None))
    assert "KEY_UNDECODABLE" == reason_of(lambda: reader.read(b"\xff", None))
    assert "TOO_LONG" == reason_of(lambda: reader.read(b"S" * 256, None))


def test_a_policy_must_stand_under_its_sku() -> None:
    reader = InputReader("allocation-policies", SCHEMAS)
    value = single_object("allocation-policies", policy(sku="S"))
    assert isinstance(reader.read(b"S", value), AllocationPolicy)
    assert "KEY_MISMATCH" == reason_of(lambda: reader.read(b"*", value))


@pytest.mark.parametrize("topic", ["orders", "inventory-scans", "asns"])
def test_other_inputs_may_have_any_key_but_no_null_value(topic: str) -> None:
    reader = InputReader(topic, SCHEMAS)
    assert record_of(topic) == reader.read(b"\xff", single_object(topic, EXAMPLES[topic]))
    assert record_of(topic) == reader.read(None, as_json(topic, EXAMPLES[topic]))
    assert "NULL_VALUE" == reason_of(lambda: reader.read(b"k", None))


def test_a_writer_refuses_a_number_beyond_64_bits_instead_of_writing_another_one() -> None:
    writer: RecordWriter = single_object_writer("allocations", SCHEMAS)
    with pytest.raises(OverflowError):
        writer.write(msgspec.structs.replace(record_of("allocations"), on_hand_after=2**63))
