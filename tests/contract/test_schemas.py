"""The registered schemas: complete, documented, equal to the records, and compatible with each other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import avro.schema
import msgspec
import pytest

from bostream.contract.records import INPUT_RECORDS, OUTPUT_RECORDS, AllocationReason, record_type
from bostream.contract.schemas import load_schemas, parse_schema
from bostream.domain.sku.outcomes import DiscrepancyKind, Reason
from bostream.errors import ConfigurationError
from tests.contract.compatibility import breaches
from tests.contract.examples import SCHEMAS

TOPICS = (*INPUT_RECORDS, *OUTPUT_RECORDS)
Change = Callable[[dict[str, Any]], None]


def declared(topic: str) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(SCHEMAS.newest(topic).text)
    return plain


def parts(schema: Any) -> list[dict[str, Any]]:
    """Every named type in a schema."""
    if isinstance(schema, list):
        return [found for branch in schema for found in parts(branch)]
    if not isinstance(schema, dict):
        return []
    inner = [found for field in schema.get("fields", []) for found in parts(field["type"])]
    own = [schema] if "name" in schema else []
    return own + inner + parts(schema.get("items"))


def rabin(data: bytes) -> bytes:
    """CRC-64-AVRO bit by bit, as the specification describes it, in header byte order."""
    empty = 0xC15D213AA4D7A795
    crc = empty
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (empty if crc & 1 else 0)
    return crc.to_bytes(8, "little")


def test_every_public_topic_has_schemas_and_nothing_else_has() -> None:
    assert {f"{topic}-value" for topic in TOPICS} == set(SCHEMAS.versions)


@pytest.mark.parametrize("topic", TOPICS)
def test_every_type_and_every_field_is_documented(topic: str) -> None:
    for part in parts(declared(topic)):
        assert part["doc"].endswith(".")
        for field in part.get("fields", []):
            assert field["doc"].endswith("."), (part["name"], field["name"])


@pytest.mark.parametrize("topic", TOPICS)
def test_input_enums_refuse_unknown_symbols_and_output_enums_may_grow(topic: str) -> None:
    enums = [part for part in parts(declared(topic)) if part["type"] == "enum"]
    for enum in enums:
        if topic in INPUT_RECORDS:
            assert "default" not in enum
        else:
            assert "UNKNOWN" == enum["default"] == enum["symbols"][0]


@pytest.mark.parametrize("topic", TOPICS)
def test_the_fields_of_a_schema_are_those_of_its_record(topic: str) -> None:
    assert_equal_fields(declared(topic), record_type(topic))


def assert_equal_fields(schema: dict[str, Any], record: type[msgspec.Struct]) -> None:
    described = msgspec.inspect.type_info(record)
    assert isinstance(described, msgspec.inspect.StructType)
    assert schema["name"] == record.__name__
    assert [field["name"] for field in schema["fields"]] == [field.name for field in described.fields]
    for field, own in zip(schema["fields"], described.fields, strict=True):
        assert ("default" in field) == (not own.required), field["name"]
        if not own.required:
            assert json.dumps(field["default"]) == msgspec.json.encode(own.default).decode().replace(",", ", "), field[
                "name"
            ]
        assert_equal_types(field["type"], own.type, field["name"])


def assert_equal_types(schema: Any, own: msgspec.inspect.Type, name: str) -> None:
    if isinstance(own, msgspec.inspect.UnionType):
        assert "null" == schema[0], name
        (present,) = [one for one in own.types if not isinstance(one, msgspec.inspect.NoneType)]
        assert_equal_types(schema[1], present, name)
    elif isinstance(own, msgspec.inspect.VarTupleType):
        assert "array" == schema["type"], name
        assert_equal_types(schema["items"], own.item_type, name)
    elif isinstance(own, msgspec.inspect.StructType):
        assert_equal_fields(schema, own.cls)
    elif isinstance(own, msgspec.inspect.EnumType):
        assert schema["symbols"] == [member.value for member in own.cls], name
    elif isinstance(own, msgspec.inspect.IntType):
        width = 2**31 - 1 if schema == "int" else 2**63 - 1
        assert own.le is not None, name
        assert own.le <= width, name
        assert schema in ("int", "long", {"type": "long", "logicalType": "timestamp-micros"}), name
    else:
        assert {"StrType": "string", "BoolType": "boolean"}[type(own).__name__] == schema, name


def test_every_reason_and_every_discrepancy_of_the_rules_can_be_published() -> None:
    assert {reason.value for reason in Reason} == {reason.value for reason in AllocationReason} - {"UNKNOWN"}
    (kinds,) = [part for part in parts(declared("notifications")) if part["name"] == "NotificationType"]
    assert {kind.value for kind in DiscrepancyKind} <= set(kinds["symbols"])


def test_the_fingerprint_of_null_is_the_one_that_is_published() -> None:
    assert bytes.fromhex("8a8f25cce724dd63") == parse_schema('"null"').fingerprint


@pytest.mark.parametrize("topic", TOPICS)
def test_fingerprints_equal_a_bitwise_computation_over_another_librarys_canonical_form(topic: str) -> None:
    schema = SCHEMAS.newest(topic)
    # That library leaves out the rule PRIMITIVES of the specification where a logical type was removed.
    canonical = avro.schema.parse(schema.text).canonical_form.replace('{"type":"long"}', '"long"')
    assert rabin(canonical.encode()) == schema.fingerprint
    assert schema is SCHEMAS.by_fingerprint[schema.fingerprint]


# --- versions


def test_all_registered_versions_are_compatible() -> None:
    assert [] == breaches(SCHEMAS)


def planted(directory: Path, topic: str, change: Change) -> list[str]:
    """Return what the check finds when a second version is registered."""
    folder = directory / f"{topic}-value"
    folder.mkdir()
    second = declared(topic)
    change(second)
    (folder / "v1.avsc").write_text(SCHEMAS.newest(topic).text)
    (folder / "v2.avsc").write_text(json.dumps(second))
    return breaches(load_schemas(directory))


def add_field(**field: Any) -> Change:
    return lambda schema: schema["fields"].append({"name": "added", "type": "string", **field})


def drop_field(name: str) -> Change:
    def drop(schema: dict[str, Any]) -> None:
        schema["fields"] = [field for field in schema["fields"] if field["name"] != name]

    return drop


def add_symbol(schema: dict[str, Any]) -> None:
    (enum,) = [field["type"] for field in schema["fields"] if field["name"] == "type"]
    enum["symbols"].append("REGRETTED")


def retype_version(schema: dict[str, Any]) -> None:
    (field,) = [one for one in schema["fields"] if one["name"] == "order_version"]
    field["type"] = "string"


@pytest.mark.parametrize(
    ("topic", "change", "expected"),
    [
        ("orders", add_field(), ["orders-value: v2 cannot read v1"]),
        ("orders", add_field(default=""), []),
        ("orders", drop_field("order_id"), []),
        ("orders", add_symbol, []),
        ("orders", retype_version, ["orders-value: v2 cannot read v1"]),
        ("allocations", add_field(), ["allocations-value: v2 cannot read v1"]),
        ("allocations", add_field(default=""), []),
        ("allocations", drop_field("quantity"), ["allocations-value: v1 cannot read v2"]),
        ("allocations", add_symbol, []),
    ],
)
def test_a_planted_incompatible_version_is_found(
    tmp_path: Path, topic: str, change: Change, expected: list[str]
) -> None:
    assert expected == planted(tmp_path, topic, change)


def test_versions_with_a_gap_a_strange_name_or_no_avro_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "orders-value"
    folder.mkdir()
    with pytest.raises(ConfigurationError, match="must count 1, 2, 3"):
        load_schemas(tmp_path)
    (folder / "v2.avsc").write_text('"string"')
    with pytest.raises(ConfigurationError, match="must count 1, 2, 3"):
        load_schemas(tmp_path)
    (folder / "v2.avsc").rename(folder / "latest.avsc")
    with pytest.raises(ConfigurationError, match=r"not named v1\.avsc"):
        load_schemas(tmp_path)
    (folder / "latest.avsc").rename(folder / "v1.avsc")
    assert '"string"' == load_schemas(tmp_path).newest("orders").text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]]",
        "{}",
        '{"type": "record"}',
        '{"type": "enum", "name": "E"}',
        '"strong"',
        "7",
        "null",
        "[" * 10_000,
    ],
)
def test_a_text_that_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not an Avro schema"):
        parse_schema(text)
