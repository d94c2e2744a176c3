"""fastavro as we use it: what it makes of bytes and schemas that are none."""

import json
from typing import Any

import pytest

from bostream.contract.avro import compile_reader, compile_writer
from bostream.contract.schemas import parse_schema
from bostream.errors import BadRecordError


def record_of(*fields: dict[str, Any]) -> Any:
    return parse_schema(json.dumps({"type": "record", "name": "R", "fields": list(fields)})).parsed


def reason(schema: Any, data: bytes, reader: Any = None) -> str:
    with pytest.raises(BadRecordError) as caught:
        compile_reader(schema, schema if reader is None else reader)(data, 0)
    return str(caught.value.reason)


STRING = record_of({"name": "s", "type": "string"})
ENUM = record_of({"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"]}})


def test_a_value_is_read_from_where_it_begins_and_tells_where_it_ends() -> None:
    assert ({"s": "ab"}, 4) == compile_reader(STRING, STRING)(b"\xff\x04ab\x07", 1)


def test_times_are_numbers_of_microseconds() -> None:
    schema = record_of({"name": "t", "type": {"type": "long", "logicalType": "timestamp-micros"}})
    written = compile_writer(schema)(b"head", {"t": 1_700_000_000_000_001})
    assert ({"t": 1_700_000_000_000_001}, len(written)) == compile_reader(schema, schema)(written, 4)


@pytest.mark.parametrize(
    ("schema", "data", "expected"),
    [
        (STRING, b"", "UNDECODABLE"),
        (STRING, b"\x06ab", "UNDECODABLE"),
        (STRING, b"\x05ab", "UNDECODABLE"),
        (STRING, b"\xfe\xff\xff\xff\x0fab", "UNDECODABLE"),
        (STRING, b"\x04\xff\xfe", "UNDECODABLE"),
        (ENUM, b"\x04\x00", "UNKNOWN_ENUM"),
    ],
)
def test_bytes_that_are_no_avro_of_the_schema_are_bad(schema: Any, data: bytes, expected: str) -> None:
    assert expected == reason(schema, data)


def test_a_huge_array_ends_with_its_bytes() -> None:
    schema = record_of({"name": "a", "type": {"type": "array", "items": "long"}})
    assert "UNDECODABLE" == reason(schema, b"\xfe\xff\xff\xff\xff\xff\x7f\x02")


@pytest.mark.parametrize(
    "item",
    ["null", {"type": "record", "name": "Empty", "fields": []}, {"type": "fixed", "name": "F", "size": 0}],
)
def test_items_without_bytes_are_refused_since_nothing_bounds_their_number(item: Any) -> None:
    schema = record_of({"name": "a", "type": {"type": "array", "items": item}})
    assert "INCOMPATIBLE_SCHEMA" == reason(schema, b"\xfe\xff\xff\xff\xff\xff\x7f\x00")


def test_a_recursive_schema_is_refused() -> None:
    schema = record_of({"name": "next", "type": ["null", "R"], "default": None})
    assert "INCOMPATIBLE_SCHEMA" == reason(schema, b"\x02" * 1_000_000)


def test_a_symbol_that_the_reader_does_not_know_is_bad() -> None:
    newer = record_of({"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y", "Z"]}})
    assert "UNKNOWN_ENUM" == reason(newer, b"\x04", ENUM)
    assert ({"e": "Y"}, 1) == compile_reader(newer, ENUM)(b"\x02", 0)


def test_a_field_that_the_writer_lacks_takes_its_default() -> None:
    newer = record_of({"name": "s", "type": "string"}, {"name": "n", "type": "long", "default": 7})
    assert ({"s": "a", "n": 7}, 2) == compile_reader(STRING, newer)(b"\x02a", 0)
