"""Lines of files: what is taken, what is refused and how that is put."""

import io
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from bostream.cli.input_lines import (
    BadLine,
    Filler,
    GoodLine,
    LineChecker,
    bounded_lines,
    csv_rows,
    explain_bad_line,
    json_rows,
    key_of,
)
from bostream.contract.records import INPUT_RECORDS, InventoryScan
from tests.contract.examples import EXAMPLES, NOON, SCHEMAS, Plain, order, scan

INPUTS = sorted(INPUT_RECORDS)


def ndjson(*plains: Any) -> bytes:
    return b"".join(json.dumps(plain).encode() + b"\n" for plain in plains)


def read(topic: str, content: bytes, filler: Filler | None = None) -> list[GoodLine | BadLine]:
    checker = LineChecker(topic, SCHEMAS, filler)
    return [checker.check(row) for row in json_rows(bounded_lines(io.BytesIO(content)))]


def read_csv(content: str | bytes, filler: Filler | None = None) -> list[GoodLine | BadLine]:
    data = content if isinstance(content, bytes) else content.encode()
    checker = LineChecker("inventory-scans", SCHEMAS, filler)
    return [checker.check(row) for row in csv_rows(bounded_lines(io.BytesIO(data)), "inventory-scans")]


def explained(topic: str, content: bytes) -> list[str]:
    return [explain_bad_line(line, "f", topic) for line in read(topic, content) if isinstance(line, BadLine)]


def scans_of(lines: list[GoodLine | BadLine]) -> Iterator[InventoryScan]:
    for line in lines:
        assert isinstance(line, GoodLine)
        assert isinstance(line.record, InventoryScan)
        yield line.record


@pytest.mark.parametrize("topic", INPUTS)
def test_a_good_line_becomes_the_record_that_it_says(topic: str) -> None:
    (line,) = read(topic, ndjson(EXAMPLES[topic]))

    assert GoodLine(1, msgspec.convert(EXAMPLES[topic], INPUT_RECORDS[topic])) == line


@pytest.mark.parametrize(
    ("topic", "key"), [("orders", "o-1"), ("inventory-scans", "S"), ("asns", "a-1"), ("allocation-policies", "*")]
)
def test_keys_are_those_of_the_contract(topic: str, key: str) -> None:
    (line,) = read(topic, ndjson(EXAMPLES[topic]))

    assert isinstance(line, GoodLine)
    assert key == key_of(line.record)


def test_blank_lines_count_as_lines_and_say_nothing() -> None:
    lines = read("orders", b"\xef\xbb\xbf\n" + ndjson(order()) + b"  \r\n" + ndjson(order()).rstrip())

    assert [2, 4] == [line.number for line in lines]
    assert all(isinstance(line, GoodLine) for line in lines)


@pytest.mark.parametrize(
    ("plain", "sentence"),
    [
        (order(priority=10), "f:1: priority: OUT_OF_RANGE: Expected `int` <= 9 - at `$.priority`"),
        (
            order(type="PLACE"),
            "f:1: type: UNKNOWN_ENUM: a symbol that is not known at `$.type` "
            "(known: PLACED, AMENDED, CANCELLED, HELD, RELEASED)",
        ),
        (order(accepted_at=None), "f:1: accepted_at: MISSING_FIELD: accepted_at is required on PLACED"),
        (
            order(occurred_at="2025-11-25T12:00:00"),
            "f:1: occurred_at: WRONG_TYPE: occurred_at must be µs as an integer or RFC 3339 text with a zone",
        ),
        (
            order(lines=[{"line_id": "1", "sku": "S"}]),
            "f:1: lines[0].quantity: MISSING_FIELD: Object missing required field `quantity` - at `$.lines[0]`",
        ),
        (
            {name: value for name, value in order().items() if name != "event_id"},
            "f:1: event_id: MISSING_FIELD: Object missing required field `event_id` (--fill makes one)",
        ),
        ([], "f:1: WRONG_TYPE: the JSON value is not an object"),
    ],
)
def test_a_bad_line_is_told_with_line_field_and_reason(plain: Any, sentence: str) -> None:
    assert [sentence] == explained("orders", ndjson(plain))


def test_a_bad_line_costs_no_other() -> None:
    lines = read("orders", ndjson(order(priority=10), order()) + b"{\n\xff\n" + ndjson(order()))

    assert [BadLine, GoodLine, BadLine, BadLine, GoodLine] == [type(line) for line in lines]
    assert [1, 2, 3, 4, 5] == [line.number for line in lines]


def test_a_line_without_an_end_in_sight_is_refused_and_not_kept() -> None:
    lines = list(bounded_lines(io.BytesIO(b"x" * 1000 + b"\nshort\n"), bytes_max=10))

    assert [12, 6] == [len(line) for line in lines]
    assert b"short\n" == lines[1]


def test_a_line_that_is_just_as_long_as_it_may_be_is_whole() -> None:
    assert [b"x" * 10 + b"\r\n", b"y" * 10] == list(bounded_lines(io.BytesIO(b"x" * 10 + b"\r\n" + b"y" * 10), 10))


def test_a_line_that_is_too_long_is_bad() -> None:
    (sentence,) = explained("orders", b'{"a":"' + b"x" * 2**20 + b'"}\n')

    assert "f:1: TOO_LARGE: the line has more than 1048576 bytes" == sentence


def test_fields_that_the_contract_does_not_know_are_counted() -> None:
    checker = LineChecker("orders", SCHEMAS)
    rows = json_rows(ndjson(order(colour="red"), order(), order(colour="blue", size=1)).splitlines())

    assert all(isinstance(checker.check(row), GoodLine) for row in rows)
    assert {"colour": 2, "size": 1} == checker.ignored


# --- filling in


def bare_scan(**changes: Any) -> Plain:
    return {"type": "RECEIVED", "sku": "S", "location": "W1", "quantity": 1} | changes


def test_filling_gives_what_is_missing_and_changes_nothing_else() -> None:
    whole, bare = scans_of(
        read("inventory-scans", ndjson(scan(), bare_scan(event_id=None)), Filler("inventory-scans", NOON + 5))
    )

    assert ("e-2", NOON) == (whole.event_id, whole.occurred_at)
    assert NOON + 5 == bare.occurred_at
    assert 36 == len(bare.event_id)


def test_the_same_file_again_gives_the_same_ids_and_equal_lines_differ() -> None:
    content = ndjson(bare_scan(), bare_scan(), bare_scan(quantity=2))

    first = [one.event_id for one in scans_of(read("inventory-scans", content, Filler("inventory-scans", 1)))]
    second = [one.event_id for one in scans_of(read("inventory-scans", content, Filler("inventory-scans", 2)))]

    assert first == second
    assert 3 == len(set(first))


def test_the_order_of_fields_and_a_line_elsewhere_change_no_id() -> None:
    plain = bare_scan()
    turned = dict(reversed(plain.items()))

    (one,) = scans_of(read("inventory-scans", ndjson(plain), Filler("inventory-scans", 1)))
    _, other = scans_of(read("inventory-scans", ndjson(bare_scan(sku="T"), turned), Filler("inventory-scans", 1)))

    assert one.event_id == other.event_id


def test_an_empty_id_is_not_missing_but_wrong() -> None:
    (line,) = read("inventory-scans", ndjson(bare_scan(event_id="")), Filler("inventory-scans", 1))

    assert isinstance(line, BadLine)
    assert "EMPTY_ID" == line.error.reason


# --- CSV


def test_csv_gives_the_same_record_as_json() -> None:
    plain = {name: value for name, value in scan().items() if value not in (None, "")}
    content = ",".join(plain) + "\n" + ",".join(str(value) for value in plain.values()) + "\n"

    (line,) = read_csv(content)

    assert GoodLine(2, msgspec.convert(scan(), InventoryScan)) == line


def test_csv_cells_may_hold_commas_and_line_ends_and_times_as_text() -> None:
    header = "event_id,occurred_at,type,sku,location,quantity,reason\n"
    (line,) = scans_of(read_csv(header + 'e,2025-11-25T12:00:00Z,ADJUSTED,007,W1,-3,"lost,\nperhaps"\n'))

    assert (NOON, "007", -3, "lost,\nperhaps") == (line.occurred_at, line.sku, line.quantity, line.reason)


def test_bad_csv_rows_cost_no_other() -> None:
    header = b"event_id,occurred_at,type,sku,location,quantity\n"
    good = b"e,1,RECEIVED,S,W1,1\n"
    rows = [b"e,1,RECEIVED,S,W1\n", b"e,1,RECEIVED,S,W1,many\n", b"e,1,RECEIVED,\xff,W1,1\n", b'e,1,"R"x,S,W1,1\n']
    lines = read_csv(header + good + b"\n" + b"".join(rows) + good)

    told = [explain_bad_line(line, "f", "inventory-scans") for line in lines if isinstance(line, BadLine)]
    assert [
        "f:4: UNDECODABLE: 5 cells under 6 names",
        "f:5: quantity: WRONG_TYPE: Expected `int`, got `str` - at `$.quantity`",
        "f:6: UNDECODABLE: not UTF-8",
        "f:7: UNDECODABLE: not CSV: ',' expected after '\"'",
    ] == told
    assert [2, 8] == [line.number for line in lines if isinstance(line, GoodLine)]


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("event_id,colour\n", "'colour'"),
        ("", "nothing"),
        ("sku,sku\n", "twice"),
    ],
)
def test_a_wrong_csv_header_is_refused_at_once(header: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        csv_rows(iter([header.encode()] if header else []), "inventory-scans")


@pytest.mark.parametrize("topic", ["orders", "asns", "allocation-policies"])
def test_records_with_lists_cannot_be_csv(topic: str) -> None:
    with pytest.raises(ValueError, match="is a list: write one JSON object per line"):
        csv_rows(iter([b"event_id\n"]), topic)
