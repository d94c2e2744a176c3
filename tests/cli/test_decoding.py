"""Records of every kind of topic, decoded, explained, and searched."""

import base64
import json
from typing import Any

import msgspec
import pytest

from bostream.cli.tailing.decoding import Seen, decoder_of, json_of
from bostream.cli.tailing.matching import speaks_of
from bostream.cli.tailing.readable import moment, readable
from bostream.cli.tailing.topic_names import named_topic
from bostream.contract.deadletter import dead_letter
from bostream.domain.cause import Cause
from bostream.domain.documents.events import LineReported
from bostream.domain.keys import pack
from bostream.domain.sku.events import ScanType, StockScanned, Ticked
from bostream.domain.sku.state import SEEN, STOCK, Stock
from bostream.engine.chain import NO_LINK, commit_key, next_commit
from bostream.engine.ports import Headers, Record
from bostream.errors import BadRecordError
from tests.contract.examples import EXAMPLES, NOON, SCHEMAS, as_json, order, single_object

CAUSE = Cause("e-2", "inventory-scans/RECEIVED", NOON, NOON + 1)
SCAN = StockScanned(CAUSE, "S", ScanType.RECEIVED, "W1", 6)
REPORT = LineReported(CAUSE, "o-1", "1", "S", 5, 3, 0, 0, 0, 2, NOON)


def seen(topic: str, value: bytes | None, key: bytes | None = b"k", headers: Headers = ()) -> Seen:
    named = named_topic(topic, "shop", "p.")
    return decoder_of(named, SCHEMAS)(Record(named.full, 3, 17, NOON, key, value, headers))


def line_of(one: Seen) -> str:
    return str(readable(one, NOON))


def shown(one: Seen) -> Any:
    """What a reader of the NDJSON gets."""
    return json.loads(msgspec.json.encode(json_of(one)))


def row(table: int, *parts: str | int) -> bytes:
    return bytes((table,)) + pack(*parts)


def letter_of(topic: str, value: bytes | None, reason: str = "UNDECODABLE", headers: Headers = ()) -> Seen:
    full = named_topic(topic, "shop", "p.").full
    letter = dead_letter(
        topic=full,
        partition=2,
        offset=9,
        key=b"S",
        value=value,
        headers=headers,
        stage="intake",
        error=BadRecordError(reason, "cut short"),
    )
    return seen(f"{topic}.dlq", letter.value, letter.key, letter.headers)


# --- public records


@pytest.mark.parametrize("topic", sorted(EXAMPLES))
@pytest.mark.parametrize("encode", [single_object, as_json])
def test_every_public_record_is_shown_with_place_key_and_fields(topic: str, encode: Any) -> None:
    one = shown(seen(topic, encode(topic, EXAMPLES[topic])))

    assert ("p." + topic, 3, 17, "k", "2025-11-25T12:00:00.000000Z") == (
        one["topic"], one["partition"], one["offset"], one["key"], one["timestamp"],
    )  # fmt: skip
    # what is shown keeps the contract again
    assert seen(topic, encode(topic, EXAMPLES[topic])).value == seen(topic, json.dumps(one["value"]).encode()).value


def test_times_of_public_records_are_shown_as_text() -> None:
    value = shown(seen("orders", single_object("orders", order())))["value"]

    assert ("2025-11-25T12:00:00.000000Z", None) == (value["occurred_at"], value["need_by"])


@pytest.mark.parametrize(
    ("topic", "line"),
    [
        (
            "orders",
            "12:00:00 PLACED order o-1 v1 of customer c-1 (event e-1); line 1: 3 × S, line 2: 0 × T; "
            "PARTIAL, priority 5, accepted 2025-11-25T11:59Z; from W1, W2; cancel after 2025-11-25T12:00Z",
        ),
        ("inventory-scans", "12:00:00 RECEIVED 6 × S at W1 (event e-2) of ASN a-1 line 1"),
        ("asns", "12:00:00 ANNOUNCED ASN a-1 v0 to W1 (event e-3); ETA 2025-11-26T12:00Z; line 1: 100 × S"),
        (
            "notifications",
            "12:00:00 BACKORDERED to CUSTOMER about order o-1 v1, customer c-1: Two units of S wait. [line 1: S 3 of 5 "
            "allocated, 0 shipped, 2 waiting, ETA 2025-11-25T12:00Z, place 4 in the queue]; caused by e-1",
        ),
        (
            "backorder-lines",
            "12:00:00 PARTIALLY_ALLOCATED order o-1 line 1 S: 3 of 5 allocated, 2 waiting since 2025-11-25T12:00Z; "
            "rank 5/o-1/1",
        ),
        (
            "stock-positions",
            "12:00:00 STOCK S at W1: -1 on hand, 64 allocated, 0 available, 65 short, 0 waiting, 5 inbound, "
            "next 1970-01-01T00:00Z",
        ),
    ],
)
def test_public_records_read_like_sentences(topic: str, line: str) -> None:
    assert line == line_of(seen(topic, single_object(topic, EXAMPLES[topic])))


def test_a_policy_shows_all_its_terms() -> None:
    line = line_of(seen("policies", single_object("allocation-policies", EXAMPLES["allocation-policies"])))

    assert line.startswith('12:00:00 POLICY p@3 for * (event e-4): {"rank":["PRIORITY","NEED_BY","ACCEPTED_AT"]')
    assert '"max_backlog_units":1000' in line


def test_a_long_order_shows_its_first_lines_and_how_many_follow() -> None:
    lines = [{"line_id": str(number), "sku": "S", "quantity": 1} for number in range(8)]

    line = line_of(seen("orders", single_object("orders", order(lines=lines))))

    assert "line 4: 1 × S and 3 more;" in line
    assert "line 5" not in line


def test_a_tombstone_is_a_deletion() -> None:
    one = seen("backorder-lines", None, b"o-1/1")

    assert "12:00:00 DELETED backorder-lines/3@17 key o-1/1" == line_of(one)
    assert (None, "o-1/1") == (shown(one)["value"], shown(one)["key"])


# --- internal logs and changelogs


def test_internal_records_have_named_fields_and_readable_times() -> None:
    one = seen("skus", msgspec.msgpack.encode(SCAN), b"S")

    value = shown(one)["value"]
    assert ("scan", "RECEIVED", 6, "2025-11-25T12:00:00.000001Z") == (
        value["record"], value["type"], value["quantity"], value["cause"]["received_at"],
    )  # fmt: skip
    assert line_of(one).startswith('12:00:00 SCAN skus/3@17 key S: {"cause":{"event_id":"e-2"')


def test_records_of_the_documents_log_are_shown_too() -> None:
    value = shown(seen("documents", msgspec.msgpack.encode(REPORT)))["value"]

    assert ("line", "o-1", 2, "2025-11-25T12:00:00.000000Z") == (
        value["record"], value["order_id"], value["waiting"], value["eta"],
    )  # fmt: skip
    assert "tick" == shown(seen("documents", msgspec.msgpack.encode(Ticked(NOON))))["value"]["record"]


def test_a_changelog_row_has_its_table_its_key_in_parts_and_its_value() -> None:
    one = seen("skus-changelog", msgspec.msgpack.encode(Stock(on_hand=6)), row(STOCK.number, "S", "W1"))

    plain = shown(one)
    assert (3, "stock", ["S", "W1"], 6) == (
        plain["table"], plain["table_name"], plain["key"], plain["value"]["on_hand"],
    )  # fmt: skip
    assert line_of(one).startswith('12:00:00 ROW skus-changelog/3@17 table 3 stock key S/W1 = {"on_hand":6')


def test_a_deleted_row_shows_which() -> None:
    one = seen("skus-changelog", None, row(STOCK.number, "S", "W1"))

    assert "12:00:00 DELETED skus-changelog/3@17 table 3 stock key S/W1" == line_of(one)
    assert "undecodable" not in shown(one)


def test_a_commit_record_says_what_was_committed() -> None:
    value, _ = next_commit(
        NO_LINK, owner="w1", epoch=2, log_offset=5, log_time=NOON, changelog_records=7, output_records=3
    )

    one = seen("documents-changelog", value, commit_key(1))

    assert (
        "12:00:00 COMMIT documents-changelog/3@17 1 of w1, epoch 2: 7 rows, 3 records out, log up to offset 5, "
        "log time 2025-11-25T12:00:00.000000Z"
    ) == line_of(one)
    assert (0, "commits") == (shown(one)["table"], shown(one)["table_name"])


# --- what cannot be read


@pytest.mark.parametrize(
    ("topic", "key"),
    [
        ("orders", b"k"),
        ("allocations", b"k"),
        ("stock-positions", b"k"),
        ("skus", b"k"),
        ("documents", b"k"),
        ("skus-changelog", row(STOCK.number, "S", "W1")),
        ("skus-changelog", row(200, "S")),
        ("skus-changelog", b"\x03\x99"),
        ("skus-changelog", b"\x03\x02S"),
        ("skus-changelog", b"\x03\x02\xff\x00"),
        ("skus-changelog", b"\x00commit\x00\x01"),
        ("skus-changelog", b""),
        ("documents-changelog", None),
        ("orders.dlq", b"k"),
        ("skus.dlq", b"k"),
    ],
)
@pytest.mark.parametrize("value", [b"\xc1\xff", b"", b"\xc3\x01garbage!", b"\x00\x00\x00\x00\x01", b"[" * 100_000])
def test_an_undecodable_record_is_shown_with_its_place_and_its_bytes(
    topic: str, key: bytes | None, value: bytes
) -> None:
    one = seen(topic, value, key)
    plain = shown(one)

    assert plain["undecodable"]
    assert plain["value"] is None
    assert "text" in plain or "base64" in plain
    assert line_of(one).isprintable()


def test_an_undecodable_record_says_why_on_its_line() -> None:
    assert (
        "12:00:00 UNDECODABLE orders/3@17 key k: UNDECODABLE: the first bytes are neither Avro framing nor a JSON "
        "object; value base64 wf8="
    ) == line_of(seen("orders", b"\xc1\xff"))


def test_nothing_in_a_payload_reaches_the_terminal_as_a_control_character() -> None:
    evil = "\x1b[31m\r\n\u202e\x07"
    for one in (
        seen("orders", single_object("orders", order(customer_id=evil))),
        seen("orders", evil.encode(), evil.encode()),
        letter_of("orders", evil.encode(), headers=((evil, evil.encode()),)),
    ):
        assert line_of(one).isprintable()


# --- dead letters


def test_a_dead_letter_shows_reason_origin_headers_and_bytes() -> None:
    one = letter_of("scans", b'{"sku": 1}', "WRONG_TYPE", headers=(("trace", b"\xff1"),))

    plain = shown(one)
    assert ("WRONG_TYPE", "WRONG_TYPE: cut short", [["trace", "\\xff1"]], '{"sku": 1}') == (
        plain["reason"], plain["message"], plain["headers"], plain["text"],
    )  # fmt: skip
    assert {"topic": "p.inventory-scans", "partition": 2, "offset": 9, "stage": "intake"} == plain["origin"]
    assert (
        "12:00:00 WRONG_TYPE p.inventory-scans/2@9 refused by intake: cut short; key S; "
        'value {"sku": 1}; headers trace=\\xff1'
    ) == line_of(one)


def test_a_dead_letter_that_can_be_read_is_decoded_besides() -> None:
    plain = shown(letter_of("orders", single_object("orders", order()), "NOT_SUPPORTED"))

    assert "o-1" == plain["value"]["order_id"]
    assert "undecodable" not in plain
    assert single_object("orders", order()) == base64.b64decode(plain["base64"])


def test_the_newest_reason_of_a_letter_that_was_replayed_counts() -> None:
    older = (("bostream.dlq.reason", b"OLDER"),)

    assert "NEWER" == shown(letter_of("orders", b"x", "NEWER", headers=older))["reason"]


def test_a_letter_without_headers_is_shown_too() -> None:
    one = seen("orders.dlq", b"x", b"k")

    assert "12:00:00 DEAD unknown topic/@ refused by nobody: ; key k; value x" == line_of(one)
    assert shown(one)["origin"]["partition"] is None


# --- times


def test_only_records_of_other_days_show_their_date() -> None:
    day = 86_400_000_000

    assert "12:00:00" == moment(NOON, NOON + 1)
    assert "2025-11-24 12:00:00" == moment(NOON - day, NOON)


# --- filters


@pytest.mark.parametrize(
    ("topic", "sku", "other_sku", "order_id"),
    [
        ("orders", "T", "U", "o-1"),
        ("asns", "S", "T", None),
        ("inventory-scans", "S", "T", None),
        ("allocation-policies", "*", "S", None),
        ("allocations", "S", "T", "o-1"),
        ("notifications", "S", "T", "o-1"),
        ("backorder-lines", "S", "T", "o-1"),
        ("stock-positions", "S", "T", None),
    ],
)
def test_public_records_are_found_by_sku_and_order(topic: str, sku: str, other_sku: str, order_id: str | None) -> None:
    one = seen(topic, single_object(topic, EXAMPLES[topic]))

    assert speaks_of(one)
    assert speaks_of(one, sku=sku, order=order_id)
    assert not speaks_of(one, sku=other_sku)
    assert not speaks_of(one, order="o")
    # both must hold
    assert not speaks_of(one, sku=sku, order="another")


def test_internal_records_and_rows_are_found_by_sku_and_order() -> None:
    report = seen("documents", msgspec.msgpack.encode(REPORT), b"order/o-1")
    stock = seen("skus-changelog", msgspec.msgpack.encode(Stock()), row(STOCK.number, "S", "W1"))
    deleted = seen("skus-changelog", None, row(4, "S", "o-1", "1"))

    assert speaks_of(report, sku="S", order="o-1")
    assert speaks_of(stock, sku="S")
    assert not speaks_of(stock, sku="T")
    assert speaks_of(deleted, sku="S", order="o-1")
    assert not speaks_of(seen("skus", msgspec.msgpack.encode(Ticked(1)), None), sku="S")


def test_tombstones_and_bad_records_are_found_by_what_they_still_say() -> None:
    assert speaks_of(seen("backorder-lines", None, b"o%2F1/1"), order="o/1")
    assert speaks_of(letter_of("scans", b"\xff"), sku="S")
    assert speaks_of(letter_of("orders", b'{"order_id":"o-9","lines":[{"sku":"T"}]}'), sku="T", order="o-9")
    assert not speaks_of(letter_of("orders", b"\xff"), order="o-9")


def test_a_key_that_happens_to_equal_an_id_of_another_kind_is_no_match() -> None:
    one = seen("orders", single_object("orders", order(order_id="T9")), b"T9")

    assert not speaks_of(one, sku="T9")


def test_what_others_chose_as_an_event_id_is_no_match() -> None:
    one = seen("skus-changelog", msgspec.msgpack.encode(NOON), row(SEEN.number, 2, "S", "wms", "T"))

    assert speaks_of(one, sku="S")
    assert not speaks_of(one, sku="T")
