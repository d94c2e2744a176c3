"""Avro values are read strictly and resolved as the specification says."""

import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given, strategies as st

from bostream.contract.avro import IncompatibleSchemasError, compile_reader, compile_writer
from bostream.contract.avro_wire import long_bytes, read_int, read_long
from bostream.contract.schemas import parse_schema
from bostream.errors import BadRecordError


def parsed(schema: Any) -> Any:
    return parse_schema(json.dumps(schema)).parsed


def record(*fields: tuple[Any, ...], name: str = "R") -> Any:
    keys = ("name", "type", "default")
    return {"type": "record", "name": name, "fields": [dict(zip(keys, field, strict=False)) for field in fields]}


def read(data: bytes, writer: Any, reader: Any = None) -> Any:
    """Read a whole value; trailing bytes are the codec's business, so they fail here."""
    value, end = compile_reader(parsed(writer), parsed(writer if reader is None else reader))(data, 0)
    assert len(data) == end
    return value


ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
LINES = {"type": "array", "items": record(("id", "string"), name="L")}


# --- primitives


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "00"),
        (-1, "01"),
        (1, "02"),
        (-64, "7f"),
        (64, "8001"),
        (2**31 - 1, "feffffff0f"),
        (2**63 - 1, "feffffffffffffffff01"),
        (-(2**63), "ffffffffffffffffff01"),
    ],
)
def test_numbers_are_zigzag_varints(value: int, expected: str) -> None:
    assert bytes.fromhex(expected) == long_bytes(value)
    assert (value, len(expected) // 2) == read_long(bytes.fromhex(expected), 0)


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_64_bit_number_comes_back(value: int) -> None:
    encoded = long_bytes(value)
    assert (value, len(encoded) + 1) == read_long(b"\xff" + encoded, 1)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_a_number_beyond_64_bits_is_never_written(value: int) -> None:
    with pytest.raises(OverflowError):
        long_bytes(value)


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "80",
        "ff" * 9,
        "ffffffffffffffffff02",  # 65 bits
        "ffffffffffffffffff7f",  # 70 bits
        "80" * 10 + "00",  # zero, in more bytes than a number may take
        "80" * 10 + "01",
        "80" * 1000 + "01",
    ],
)
def test_a_number_that_is_cut_short_or_beyond_64_bits_is_bad(encoded: str) -> None:
    with pytest.raises(BadRecordError) as caught:
        read_long(bytes.fromhex(encoded), 0)
    assert "UNDECODABLE" == caught.value.reason


def test_an_int_has_32_bits() -> None:
    assert -(2**31) == read_int(long_bytes(-(2**31)), 0)[0]
    with pytest.raises(BadRecordError) as caught:
        read_int(long_bytes(2**31), 0)
    assert "OUT_OF_RANGE" == caught.value.reason


@pytest.mark.parametrize(
    ("schema", "encoded", "what"),
    [
        ("string", "01", "negative length"),
        ("string", "0461", "shorter"),
        ("string", "fe01" + "61" * 126, "shorter"),
        ("string", "feffffffffffffffff0161", "shorter"),
        ("string", "02ff", "not UTF-8"),
        ("string", "06eda080", "not UTF-8"),
        ("string", "8001" + "ff" * 64, "not UTF-8"),
        ("bytes", "01", "negative length"),
        ("boolean", "02", "neither 0 nor 1"),
        ("boolean", "", "shorter"),
        ("double", "00" * 7, "shorter"),
        ("float", "00" * 3, "shorter"),
        ({"type": "fixed", "name": "F", "size": 2}, "00", "shorter"),
        (["null", "long"], "04", "no branch"),
        (["null", "long"], "01", "no branch"),
        (ENUM, "04", "not known"),
        (ENUM, "01", "not known"),
        (LINES, "02", "shorter"),
        (LINES, "feffffffffffffffff01", "shorter"),
        (LINES, "01", "shorter"),
        (LINES, "ffffffffffffffffff01" + "02", "shorter"),  # -2**63 items
        (LINES, "0106" + "0261" + "00", "not what it says"),
        (LINES, "01ffffffffffffffffff01" + "0261" + "00", "not what it says"),
    ],
)
def test_what_is_not_avro_is_bad(schema: Any, encoded: str, what: str) -> None:
    with pytest.raises(BadRecordError, match=what):
        read(bytes.fromhex(encoded), schema)


def test_a_block_may_state_its_size_in_bytes() -> None:
    assert [{"id": "a"}, {"id": "b"}] == read(bytes.fromhex("01" + "04" + "0261" + "02" + "0262" + "00"), LINES)


def test_an_array_is_bounded_in_items_before_any_of_them_is_read() -> None:
    with pytest.raises(BadRecordError, match="more than 10000 items"):
        read(long_bytes(10_001) + bytes(20_000), LINES)
    blocks = (long_bytes(6_000) + bytes(6_000)) * 2
    with pytest.raises(BadRecordError, match="more than 10000 items"):
        read(blocks + b"\x00", LINES)
    assert 10_000 == len(read(long_bytes(10_000) + bytes(10_001), LINES))


# --- schemas that must not be used


def test_recursive_schemas_and_items_without_bytes_are_refused() -> None:
    recursive = record(("next", ["null", "R"], None))
    with pytest.raises(IncompatibleSchemasError, match="recursive"):
        read(b"\x00", recursive)
    for item in ("null", record(("a", "null"), name="N"), {"type": "fixed", "name": "F", "size": 0}):
        with pytest.raises(IncompatibleSchemasError, match="nothing bounds their number"):
            read(
                b"\x00", record(("junk", {"type": "array", "items": item}), ("id", "string")), record(("id", "string"))
            )


def test_a_schema_that_doubles_at_every_level_is_refused_in_bounded_time() -> None:
    schema: Any = record(("a", "int"), name="R0")
    for level in range(1, 25):
        schema = record(("a", schema), ("b", f"R{level - 1}"), name=f"R{level}")
    with pytest.raises(IncompatibleSchemasError, match="too large"):
        read(b"", schema)


# --- resolution


def test_a_field_that_the_reader_lacks_is_skipped_whatever_its_type_is() -> None:
    junk = [
        ("a", {"type": "map", "values": ["null", "double"]}),
        ("b", {"type": "fixed", "name": "F", "size": 3}),
        ("c", "bytes"),
        ("d", "float"),
        ("e", ENUM),
        ("f", ["null", record(("x", "long"), name="X")]),
        ("g", {"type": "array", "items": "X"}),
    ]
    writer = record(*junk, ("id", "string"))
    value = {"a": {"k": 1.5, "n": None}, "b": b"abc", "c": b"\xff", "d": 1.0, "e": "B", "f": {"x": 1}, "g": [{"x": 2}]}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(writer), value | {"id": "i"})
    assert {"id": "i"} == read(out.getvalue(), writer, record(("id", "string")))
    assert value | {"id": "i"} == read(out.getvalue(), writer)


def test_a_field_that_the_writer_lacks_takes_its_default_or_makes_the_schemas_incompatible() -> None:
    writer = record(("id", "string"))
    assert {"id": "a", "n": 7} == read(b"\x02a", writer, record(("n", "long", 7), ("id", "string")))
    with pytest.raises(IncompatibleSchemasError, match="n is missing"):
        read(b"\x02a", writer, record(("n", "long"), ("id", "string")))


def test_a_field_is_found_by_the_readers_alias() -> None:
    reader = record(("id", "string"))
    reader["fields"][0]["aliases"] = ["identifier"]
    assert {"id": "a"} == read(b"\x02a", record(("identifier", "string")), reader)


def test_an_unknown_symbol_becomes_the_readers_default_or_is_bad() -> None:
    newer = ENUM | {"symbols": ["B", "C", "A"]}
    assert ["B", "A"] == [read(b"\x00", newer, ENUM), read(b"\x04", newer, ENUM)]
    assert "A" == read(b"\x02", newer, ENUM | {"default": "A"})
    with pytest.raises(BadRecordError) as caught:
        read(b"\x02", newer, ENUM)
    assert "UNKNOWN_ENUM" == caught.value.reason


@pytest.mark.parametrize(
    ("writer", "reader", "encoded", "expected"),
    [
        ("int", "long", "02", 1),
        ("long", "double", "02", 1.0),
        ("float", "double", "0000803f", 1.0),
        ("string", "bytes", "0261", b"a"),
        ("bytes", "string", "0261", "a"),
        ("long", ["null", "long"], "02", 1),
        ("int", ["null", "string", "long"], "02", 1),
        (["null", "long"], "long", "0202", 1),
        (["long", "null"], ["null", "long"], "02", None),
        ({"type": "long", "logicalType": "timestamp-micros"}, "long", "02", 1),
    ],
)
def test_types_are_promoted_as_the_specification_allows(writer: Any, reader: Any, encoded: str, expected: Any) -> None:
    value = read(bytes.fromhex(encoded), writer, reader)
    assert (expected, type(expected)) == (value, type(value))


@pytest.mark.parametrize(
    ("writer", "reader"),
    [
        ("string", "long"),
        ("long", "int"),
        ("boolean", "long"),
        ("double", "long"),
        ("long", ["null", "string"]),
        (ENUM, "string"),
        (ENUM, ENUM | {"name": "F"}),
        (record(("id", "string")), record(("id", "string"), name="Other")),
        (LINES, {"type": "map", "values": "string"}),
        ({"type": "fixed", "name": "F", "size": 2}, {"type": "fixed", "name": "F", "size": 3}),
    ],
)
def test_schemas_that_do_not_resolve_are_incompatible(writer: Any, reader: Any) -> None:
    with pytest.raises(IncompatibleSchemasError):
        read(b"", writer, reader)


def test_a_branch_that_the_reader_lacks_is_bad_only_where_it_is_used() -> None:
    assert 1 == read(b"\x02\x02", ["string", "long"], "long")
    with pytest.raises(BadRecordError) as caught:
        read(b"\x00\x02a", ["string", "long"], "long")
    assert "INCOMPATIBLE_SCHEMA" == caught.value.reason


@pytest.mark.parametrize("schema", [["string", "long"], ["null", "string", "long"], "double", record(("only", "long"))])
def test_a_type_that_no_schema_here_uses_has_no_writer(schema: Any) -> None:
    with pytest.raises(IncompatibleSchemasError):
        compile_writer(parsed(schema))
