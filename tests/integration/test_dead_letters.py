"""Bad records on a real Kafka: each becomes a dead letter byte for byte, and stops nobody (I12)."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bostream.contract import limits
from bostream.contract.codec import single_object_writer
from bostream.contract.deadletter import CONNECT_PREFIX, REASON_HEADER
from bostream.domain.sku.events import ScanType
from bostream.embedded import Broker
from bostream.engine.ports import Headers
from tests.integration.harness import SCHEMAS, Application
from tests.integration.harness_oracle import judge
from tests.stages.support import NOON, order, scan

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PARTITIONS = 3
HEADERS: Headers = (("b", b"2"), ("a", b"1"), ("b", b"\xff\x00"), ("empty", b""), ("null", None))
"""A name twice, an order that is not sorted, bytes that are no text, nothing, and null."""


class Bad(NamedTuple):
    """A bad record, and the reason that its dead letter must have."""

    topic: str
    key: bytes | None
    value: bytes | None
    reason: str
    headers: Headers = HEADERS


def json_scan(**changed: Any) -> bytes:
    fields = {
        "event_id": "e1",
        "occurred_at": NOON,
        "type": "RECEIVED",
        "sku": "S",
        "location": "W1",
        "quantity": 1,
        **changed,
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


AVRO_ORDER = single_object_writer("orders", SCHEMAS).write(order("O1", ("1", "S", 1)))
LARGE = json_scan(reason="x" * limits.VALUE_BYTES_MAX)
BAD = (
    Bad("orders", b"garbage", b"\xfe\xffgarbage", "UNDECODABLE"),
    Bad("orders", b"truncated", AVRO_ORDER[:-3], "UNDECODABLE"),
    Bad("orders", b"framing", b"\x00\x00\x00\x00\x07abc", "UNKNOWN_SCHEMA"),
    Bad("asns", b"text", b"plain text", "UNDECODABLE"),
    Bad("inventory-scans", b"enum", json_scan(type="TELEPORTED"), "UNKNOWN_ENUM"),
    Bad("inventory-scans", b"negative", json_scan(quantity=-5), "OUT_OF_RANGE"),
    Bad("inventory-scans", b"no-sku", json_scan(sku=None), "MISSING_FIELD"),
    Bad("inventory-scans", b"empty-sku", json_scan(sku=""), "EMPTY_ID"),
    Bad("inventory-scans", b"large", LARGE, "TOO_LARGE"),
    Bad("inventory-scans", b"", json_scan(location=None), "MISSING_FIELD"),
    Bad("inventory-scans", None, json_scan(quantity=0.5), "WRONG_TYPE"),
    Bad("inventory-scans", b"null-value", None, "NULL_VALUE"),
    Bad("asns", None, None, "NULL_VALUE", headers=()),
)


def test_bad_records_become_dead_letters_byte_for_byte_and_stop_no_partition(kafka: Broker, tmp_path: Path) -> None:
    with Application(kafka, "letters", tmp_path, public_partitions=PARTITIONS) as application:
        application.create_topics()
        placed: dict[tuple[str, int, int], Bad] = {}
        offsets: dict[tuple[str, int], int] = {}
        for number, bad in enumerate(BAD):
            partition = number % PARTITIONS
            application.send_bytes(bad.topic, bad.value, key=bad.key, headers=bad.headers, partition=partition)
            offset = offsets.get((bad.topic, partition), 0)
            offsets[bad.topic, partition] = offset + 1
            placed[bad.topic, partition, offset] = bad
        write = single_object_writer("inventory-scans", SCHEMAS).write
        for partition in range(PARTITIONS):
            good = scan(ScanType.RECEIVED, 10 + partition, sku=f"GOOD-{partition}")
            application.send_bytes("inventory-scans", write(good), key=b"good", partition=partition)
        worker = application.start("w1")
        application.await_rest()
        assert 0 == worker.stop()

        for topic in ("orders", "inventory-scans", "asns"):
            check_letters(application, topic, {at: bad for at, bad in placed.items() if at[0] == topic})
        found = application.compacted("stock-positions")
        assert {f"GOOD-{partition}/W1": 10 + partition for partition in range(PARTITIONS)} == {
            key: position.on_hand for key, position in found.items()
        }
        verdict = judge(application, tmp_path / "scratch", worker.state)
        assert verdict.is_good, "\n".join(verdict.findings)


def check_letters(application: Application, topic: str, placed: dict[tuple[str, int, int], Bad]) -> None:
    letters = application.read(application.topic(f"{topic}.dlq"))
    assert len(placed) == len(letters)
    for letter in letters:
        added = dict(letter.headers[-7:])
        at = int(added[CONNECT_PREFIX + "partition"] or b""), int(added[CONNECT_PREFIX + "offset"] or b"")
        bad = placed.pop((topic, *at))
        assert (bad.key, bad.value, bad.headers) == (letter.key, letter.value, letter.headers[:-7])
        assert at[0] == letter.partition, "a letter keeps its partition where its topic has one of that number"
        assert application.topic(topic).encode() == added[CONNECT_PREFIX + "topic"]
        assert f"intake-{topic}".encode() == added[CONNECT_PREFIX + "stage"]
        assert b"bostream.errors.BadRecordError" == added[CONNECT_PREFIX + "exception.class.name"]
        assert (added[CONNECT_PREFIX + "exception.message"] or b"").startswith(bad.reason.encode())
        assert bad.reason.encode() == added[REASON_HEADER]
    assert {} == placed
