"""Our Avro encoder against fastavro's, byte for byte."""

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given, strategies as st

from bostream.contract.avro import compile_writer
from bostream.contract.avro_encoder import compile_encoder
from bostream.contract.records import INPUT_RECORDS, OUTPUT_RECORDS
from tests.contract.examples import EXAMPLES, SCHEMAS, Plain

TOPICS = sorted({*INPUT_RECORDS, *OUTPUT_RECORDS})
LONGS = st.integers(-(2**63), 2**63 - 1)


def encoded_by_fastavro(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def encoded(schema: Any, value: Any) -> bytes:
    encode = compile_encoder(schema)
    assert encode is not None
    return encode(value)


@pytest.mark.parametrize("topic", TOPICS)
def test_examples_of_every_topic_are_written_as_fastavro_writes_them(topic: str) -> None:
    schema = SCHEMAS.newest(topic).parsed
    for plain in variants(EXAMPLES[topic]):
        expected = encoded_by_fastavro(schema, plain)
        assert expected == encoded(schema, plain)
        assert b"head" + expected == compile_writer(schema)(b"head", plain)


def variants(plain: Plain) -> list[Plain]:
    """The example, and the same with long texts, and with no items in its lists."""
    texts = {name for name, value in plain.items() if isinstance(value, str) and not value.isupper()}
    lists = {name for name, value in plain.items() if isinstance(value, list)}
    return [plain, plain | dict.fromkeys(texts, "ü" * 40), plain | {name: [] for name in lists}]


@given(LONGS)
def test_every_long_is_written_as_fastavro_writes_it(value: int) -> None:
    assert encoded_by_fastavro("long", value) == encoded("long", value)


@given(st.text(max_size=200))
def test_every_text_is_written_as_fastavro_writes_it(value: str) -> None:
    assert encoded_by_fastavro("string", value) == encoded("string", value)


@given(st.lists(st.none() | LONGS, max_size=70))
def test_every_list_is_written_as_fastavro_writes_it(value: list[int | None]) -> None:
    schema = {"type": "array", "items": ["null", "long"]}
    assert encoded_by_fastavro(schema, value) == encoded(schema, value)


@pytest.mark.parametrize("value", [-(2**63), -(2**31), -65, -64, -1, 0, 63, 64, 2**31 - 1, 2**63 - 1])
def test_integers_at_the_edges_keep_their_bytes(value: int) -> None:
    assert encoded_by_fastavro("long", value) == encoded("long", value)
    if -(2**31) <= value < 2**31:
        assert encoded_by_fastavro("int", value) == encoded("int", value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("long", 2**63),
        ("long", -(2**63) - 1),
        ("long", "1"),
        ("long", 1.0),
        ("long", True),
        ("long", None),
        ("int", 2**31),
        ("int", -(2**31) - 1),
        ("string", 1),
        ("string", None),
        ("string", "\ud800"),
        ("boolean", 1),
        ({"type": "enum", "name": "E", "symbols": ["X"]}, "Y"),
        ({"type": "record", "name": "R", "fields": [{"name": "s", "type": "string"}]}, {}),
    ],
)
def test_a_value_that_does_not_fit_is_refused(schema: Any, value: Any) -> None:
    with pytest.raises((ValueError, OverflowError, TypeError, KeyError)):
        encoded(schema, value)


@pytest.mark.parametrize(
    "schema",
    [
        "bytes",
        "double",
        ["string", "null"],
        ["null", "long", "string"],
        ["null", "bytes"],
        {"type": "fixed", "name": "F", "size": 2},
        {"type": "map", "values": "long"},
        {"type": "array", "items": "bytes"},
        {"type": "record", "name": "R", "fields": [{"name": "b", "type": "bytes"}]},
    ],
)
def test_schemas_with_other_parts_are_left_to_fastavro(schema: Any) -> None:
    assert compile_encoder(schema) is None


def test_what_is_left_to_fastavro_is_written_all_the_same() -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "b", "type": "bytes"}]}
    assert encoded_by_fastavro(schema, {"b": b"xy"}) == compile_writer(schema)(b"", {"b": b"xy"})
