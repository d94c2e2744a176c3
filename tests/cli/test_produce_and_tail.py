"""``bostream produce`` and ``bostream tail`` against a real Kafka, as people run them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from typer.testing import CliRunner, Result

import bostream.cli.produce
import bostream.cli.tail  # noqa: F401 - both add their commands to app
from bostream.adapters.kafka.admin import KafkaTopics
from bostream.cli.main import app
from bostream.contract.deadletter import dead_letter
from bostream.contract.partitioner import partition_for
from bostream.contract.records import INPUT_RECORDS
from bostream.contract.topics import topics
from bostream.domain.cause import Cause
from bostream.domain.keys import pack
from bostream.domain.sku.events import ScanType, StockScanned
from bostream.domain.sku.state import STOCK, Stock
from bostream.embedded import Broker
from bostream.errors import BadRecordError
from tests.contract.examples import EXAMPLES, NOON, Plain, allocation, as_json, order, scan, single_object

pytestmark = pytest.mark.kafka

APP = "cli"
PARTITIONS = 3
TIMEOUT_S = 30.0
KEYS = {"orders": b"o-1", "inventory-scans": b"S", "asns": b"a-1", "allocation-policies": b"*"}
SECOND_MS = 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place:
    """The topics of one test, and the commands on them."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.prefix = prefix
        self.options = ["--bootstrap-servers", bootstrap_servers, "--app", APP, "--set", f"topics.prefix={prefix}"]
        self._producer = Producer({"bootstrap.servers": bootstrap_servers})

    def produce(self, *arguments: str, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(app, ["produce", *arguments, *self.options], input=stdin)

    def tail(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["tail", *arguments, *self.options])

    def seen(self, *arguments: str) -> list[Any]:
        """The objects that tail prints; it must end well."""
        result = self.tail(*arguments)
        assert 0 == result.exit_code, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    def write(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        timestamp_ms: int = 0,
        headers: Mapping[str, bytes | None] | None = None,
    ) -> None:
        """Write one record into partition 0 with a client of the test's own."""
        self._producer.produce(
            self.prefix + topic, value, key, 0, timestamp=timestamp_ms, headers=list((headers or {}).items())
        )
        self.flush()

    def write_later(self, topic: str, value: bytes) -> None:
        """Write one record with the next flush."""
        self._producer.produce(self.prefix + topic, value, partition=0)

    def flush(self) -> None:
        """Wait until everything is written."""
        assert 0 == self._producer.flush(TIMEOUT_S)

    def raw(self, topic: str) -> tuple[int, bytes | None, bytes | None]:
        """Partition, key and value of the one record in a topic, with a client of the test's own."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": "test"})
        try:
            consumer.assign([TopicPartition(self.prefix + topic, number, 0) for number in range(PARTITIONS)])
            (message,) = consumer.consume(1, TIMEOUT_S)
            key, value = message.key(), message.value()
            assert not isinstance(key, str)
            assert not isinstance(value, str)
            return message.partition() or 0, key, value
        finally:
            consumer.close()

    def process(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A command in a process of its own."""
        command = [sys.executable, "-m", "bostream", *arguments, *self.options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def make_place(kafka: Broker, request: pytest.FixtureRequest) -> Callable[..., Place]:
    prefix = f"cli{abs(hash(request.node.nodeid)):x}."

    def make(*names: str) -> Place:
        specs = [
            msgspec.structs.replace(spec, partitions=PARTITIONS, replication_factor=1)
            for spec in topics(APP, prefix=prefix)
            if spec.name.removeprefix(prefix) in names
        ]
        assert len(names) == len(specs)
        admin = KafkaTopics({"bootstrap.servers": kafka.bootstrap_servers})
        admin.create(specs)
        wait_until(lambda: len(admin.describe(spec.name for spec in specs)) == len(names))
        return Place(kafka.bootstrap_servers, prefix)

    return make


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not is_so():
        assert time.monotonic() < deadline


def ndjson(*plains: Plain) -> bytes:
    return b"".join(json.dumps(plain).encode() + b"\n" for plain in plains)


def record_of(topic: str, value: Any) -> Any:
    """The record of an object that tail showed, by way of times as numbers."""
    return msgspec.convert(_micros(value), INPUT_RECORDS[topic])


def _micros(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _micros(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_micros(item) for item in value]
    if isinstance(value, str) and value.endswith("Z") and value.startswith("20"):
        return (msgspec.convert(value, datetime) - EPOCH) // timedelta(microseconds=1)
    return value


# --- round trips


@pytest.mark.parametrize("topic", sorted(INPUT_RECORDS))
@pytest.mark.parametrize(("wire", "encode"), [("avro", single_object), ("json", None)])
def test_what_goes_in_as_ndjson_comes_out_of_tail(
    topic: str, wire: str, encode: Any, make_place: Callable[..., Place]
) -> None:
    place = make_place(topic)

    result = place.produce(topic, "--format", wire, stdin=ndjson(EXAMPLES[topic]))

    assert (0, "", f"1 record sent to {place.prefix}{topic}\n") == (result.exit_code, result.stderr, result.stdout)
    (one,) = place.seen(topic)
    assert record_of(topic, EXAMPLES[topic]) == record_of(topic, one["value"])
    partition, key, value = place.raw(topic)
    assert (KEYS[topic], partition_for(KEYS[topic], PARTITIONS)) == (key, partition)
    assert value is not None
    if encode is None:
        assert EXAMPLES[topic].keys() == json.loads(value).keys()
    else:
        assert encode(topic, EXAMPLES[topic]) == value


def test_what_tail_shows_can_be_produced_again(make_place: Callable[..., Place]) -> None:
    place = make_place("orders")
    place.produce("orders", stdin=ndjson(order(), order(event_id="e-9", order_version=2)))
    values = [one["value"] for one in place.seen("orders")]

    assert 0 == place.produce("orders", stdin=ndjson(*values)).exit_code

    assert [*values, *values] == [one["value"] for one in place.seen("orders")]


def test_a_csv_file_of_scans_is_filled_in_and_sent_in_its_order(
    make_place: Callable[..., Place], tmp_path: Path
) -> None:
    place = make_place("inventory-scans")
    file = tmp_path / "scans.csv"
    file.write_text("type,sku,location,quantity\nRECEIVED,S,W1,1\nRECEIVED,S,W1,1\nCOUNTED,S,W1,0\n")

    first = place.produce("scans", str(file), "--fill")
    second = place.produce("scans", str(file), "--fill")

    assert (0, 0) == (first.exit_code, second.exit_code)
    values = [one["value"] for one in place.seen("scans")]
    assert ["RECEIVED", "RECEIVED", "COUNTED"] * 2 == [value["type"] for value in values]
    ids = [value["event_id"] for value in values]
    assert ids[:3] == ids[3:]
    assert 3 == len(set(ids))


# --- bad lines


def test_the_first_bad_line_stops_and_what_was_before_it_is_sent(make_place: Callable[..., Place]) -> None:
    place = make_place("orders")

    result = place.produce("orders", stdin=ndjson(order(), order(priority=10), order(order_id="later")))

    assert 5 == result.exit_code
    assert f"1 record sent to {place.prefix}orders\n" == result.stdout
    assert (
        "stdin:2: priority: OUT_OF_RANGE: Expected `int` <= 9 - at `$.priority`\n1 bad line: stopped there\n"
    ) == result.stderr
    assert ["o-1"] == [one["value"]["order_id"] for one in place.seen("orders")]


def test_bad_lines_are_skipped_and_counted_when_told_to_keep_going(make_place: Callable[..., Place]) -> None:
    place = make_place("orders")
    lines = ndjson(order(priority=10), order()) + b"{\n" + ndjson(order(order_id="later", colour="red"))

    result = place.produce("orders", "--keep-going", stdin=lines)

    assert 5 == result.exit_code
    assert f"2 records sent to {place.prefix}orders\n" == result.stdout
    assert [
        "stdin:1: priority: OUT_OF_RANGE: Expected `int` <= 9 - at `$.priority`",
        "stdin:3: UNDECODABLE: not JSON: Input data was truncated",
        "note: the contract has no field colour; it was left out (1 line)",
        "2 bad lines: skipped",
    ] == result.stderr.splitlines()
    assert {"o-1", "later"} == {one["value"]["order_id"] for one in place.seen("orders")}


def test_of_many_bad_lines_only_the_first_are_shown(make_place: Callable[..., Place]) -> None:
    result = make_place("orders").produce("orders", "--keep-going", stdin=b"[]\n" * 150)

    assert "stdin:100: WRONG_TYPE" in result.stderr
    assert "stdin:101:" not in result.stderr
    assert "… and 50 more bad lines\n150 bad lines: skipped\n" in result.stderr


def test_checking_sends_nothing_and_needs_no_kafka() -> None:
    result = CliRunner().invoke(
        app,
        ["produce", "orders", "--check", "--bootstrap-servers", "127.0.0.1:1"],
        input=ndjson(order(), order(priority=10), order()),
    )

    assert (5, "2 records are good\n") == (result.exit_code, result.stdout)
    assert "1 bad line: sent nothing" in result.stderr


def test_a_missing_topic_is_not_created_but_told(kafka: Broker) -> None:
    place = Place(kafka.bootstrap_servers, "nobody-made-this.")

    result = place.produce("orders", stdin=ndjson(order()))

    assert 3 == result.exit_code
    assert "there is no topic nobody-made-this.orders. Create topics with `bostream init`." in result.stderr
    assert "nobody-made-this.orders" not in KafkaTopics({"bootstrap.servers": kafka.bootstrap_servers}).describe(
        ["nobody-made-this.orders"]
    )


@pytest.mark.parametrize(
    "arguments",
    [["orders", "/no/such/file"], ["orders", "--from", "csv"], ["shoes"], ["scans", "--from", "csv"]],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert 2 == CliRunner().invoke(app, ["produce", *arguments], input=b"").exit_code


# --- tail


def test_an_allocation_explains_itself(make_place: Callable[..., Place]) -> None:
    place = make_place("allocations")
    place.write("allocations", single_object("allocations", allocation(order_id="another")), b"another")
    place.write("allocations", single_object("allocations", allocation()), b"o-1", NOON // 1000)

    result = place.tail("allocations", "--order", "o-1", "-o", "text")

    assert (
        "2025-11-25 12:00:00 ALLOCATED 3 × S at W1 to order o-1 line 1: STOCK_RECEIVED by inventory-scans/RECEIVED "
        "e-2; rank 5/o-1/1, 7 units ahead; line now 3 of 5 allocated, 2 waiting; 0 left at W1, 3 on hand; default@0, "
        "seq 1\n"
    ) == result.stdout


def test_filters_by_sku_order_time_and_number(make_place: Callable[..., Place]) -> None:
    place = make_place("inventory-scans")
    now_ms = int(time.time() * SECOND_MS)
    for event_id, sku, order_id, age_s in (
        ("1", "S", None, 86_400),
        ("2", "T", "o", 7_200),
        ("3", "S", "o", 600),
        ("4", "S", None, 3_000),  # older than the one before it
        ("5", "S", None, 60),
    ):
        plain = scan(event_id=event_id, sku=sku, order_id=order_id)
        place.write("inventory-scans", as_json("", plain), sku.encode(), now_ms - age_s * SECOND_MS)

    def ids(*arguments: str) -> str:
        return "".join(one["value"]["event_id"] for one in place.seen("scans", *arguments))

    assert "12345" == ids()
    assert "1345" == ids("--sku", "S")
    assert "3" == ids("--sku", "S", "--order", "o")
    assert "35" == ids("--since", "15m")
    assert "2345" == ids("--since", "3h")
    assert "" == ids("--since", "now")
    assert "12" == ids("--limit", "2")
    assert "13" == ids("--limit", "2", "--sku", "S")
    assert "" == ids("--order", "nobody")


def test_a_topic_without_records_ends_at_once(make_place: Callable[..., Place]) -> None:
    assert [] == make_place("orders").seen("orders")


def test_internal_logs_and_changelogs_are_decoded(make_place: Callable[..., Place]) -> None:
    place = make_place(f"{APP}-skus", f"{APP}-skus-changelog")
    cause = Cause("e-2", "inventory-scans/RECEIVED", NOON, NOON)
    place.write(f"{APP}-skus", msgspec.msgpack.encode(StockScanned(cause, "S", ScanType.RECEIVED, "W1", 6)), b"S")
    key = bytes((STOCK.number,)) + pack("S", "W1")
    place.write(f"{APP}-skus-changelog", msgspec.msgpack.encode(Stock(on_hand=6)), key)
    place.write(f"{APP}-skus-changelog", None, key)
    place.write(f"{APP}-skus-changelog", b"\xc1", key)

    (event,) = place.seen("skus", "--sku", "S")
    row, deleted, broken = place.seen("skus-changelog", "--sku", "S")

    assert ("scan", 6) == (event["value"]["record"], event["value"]["quantity"])
    assert ("stock", ["S", "W1"], 6) == (row["table_name"], row["key"], row["value"]["on_hand"])
    assert deleted["value"] is None
    assert (2, "wQ==") == (broken["offset"], broken["base64"])


def test_dead_letters_show_why_and_where_from(make_place: Callable[..., Place]) -> None:
    place = make_place("inventory-scans.dlq")
    for value, reason in ((b"\xff\xfe", "UNDECODABLE"), (b'{"sku":"T"}', "MISSING_FIELD")):
        letter = dead_letter(
            topic="inventory-scans",
            partition=2,
            offset=9,
            key=b"S",
            value=value,
            headers=(("traceparent", b"00-1"),),
            stage="intake-inventory-scans",
            error=BadRecordError(reason, "says who"),
        )
        place.write("inventory-scans.dlq", value, b"S", headers=dict(letter.headers))

    first, second = place.seen("scans.dlq")

    origin = {"topic": "inventory-scans", "partition": 2, "offset": 9, "stage": "intake-inventory-scans"}
    assert ("UNDECODABLE", origin, "//4=") == (first["reason"], first["origin"], first["base64"])
    assert ("MISSING_FIELD", '{"sku":"T"}') == (second["reason"], second["text"])
    assert [["traceparent", "00-1"]] == second["headers"]
    assert ["MISSING_FIELD"] == [one["reason"] for one in place.seen("scans.dlq", "--sku", "T")]
    assert (
        "MISSING_FIELD inventory-scans/2@9 refused by intake-inventory-scans: says who; key S"
        in place.tail("scans.dlq", "-o", "text").stdout
    )


def test_bytes_that_nobody_can_read_do_not_end_a_tail(make_place: Callable[..., Place]) -> None:
    place = make_place("orders")
    place.write("orders", b"\xc3\x01\x00", b"\xff")
    place.write("orders", None)
    place.write("orders", single_object("orders", order()), b"o-1")

    broken, empty, good = place.seen("orders")

    assert ("UNDECODABLE: the single-object header is cut short", "\\xff") == (broken["undecodable"], broken["key"])
    assert (None, None) == (empty["key"], empty["value"])
    assert "o-1" == good["value"]["order_id"]


def test_following_shows_what_arrives_and_ctrl_c_ends_it_well(make_place: Callable[..., Place]) -> None:
    place = make_place("orders")
    place.write("orders", single_object("orders", order(order_id="before")))
    with place.process("tail", "orders", "--follow") as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        assert "before" == json.loads(follower.stdout.readline())["value"]["order_id"]

        place.write("orders", single_object("orders", order(order_id="after")))

        assert "after" == json.loads(follower.stdout.readline())["value"]["order_id"]
        follower.send_signal(signal.SIGINT)
        assert 0 == follower.wait(TIMEOUT_S)
        assert b"" == follower.stderr.read()


def test_a_limit_ends_following(make_place: Callable[..., Place]) -> None:
    place = make_place("orders")
    place.write("orders", single_object("orders", order()))

    assert 1 == len(place.seen("orders", "--follow", "--limit", "1"))


def test_a_reader_that_has_had_enough_ends_a_tail_quietly(make_place: Callable[..., Place]) -> None:
    place = make_place("orders")
    for number in range(2000):
        place.write_later("orders", single_object("orders", order(order_id=f"o-{number}")))
    place.flush()
    with place.process("tail", "orders") as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        tail.stdout.readline()
        tail.stdout.close()
        assert (0, b"") == (tail.wait(TIMEOUT_S), tail.stderr.read())


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, b"\x1b[32mALLOCATED\x1b[0m 3"), ({"NO_COLOR": "1"}, b" ALLOCATED 3"), ({"TERM": "dumb"}, b" ALLOCATED 3")],
)
def test_a_terminal_gets_sentences_in_colours_that_can_be_turned_off(
    environment: dict[str, str], expected: bytes, make_place: Callable[..., Place]
) -> None:
    place = make_place("allocations")
    place.write("allocations", single_object("allocations", allocation()))

    assert expected in on_a_terminal(["tail", "allocations", *place.options], environment)


def on_a_terminal(arguments: list[str], environment: dict[str, str]) -> bytes:
    """What a command prints on a terminal."""
    ours, theirs = os.openpty()
    plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "bostream", *arguments]
    process = subprocess.Popen(command, stdout=theirs, env=plain | {"TERM": "xterm"} | environment)
    os.close(theirs)
    printed = b"".join(_until_closed(ours))
    os.close(ours)
    assert 0 == process.wait(TIMEOUT_S)
    return printed


def _until_closed(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(terminal, 65_536)
        except OSError:  # Linux says so when the other side has closed
            return
        if not data:
            return
        yield data


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["shoes"], 2, "bostream has no topic shoes"),
        (["orders", "--since", "yesterday"], 2, "is no moment"),
        (["orders"], 3, "there is no topic"),
    ],
)
def test_a_tail_that_cannot_begin_says_why(kafka: Broker, arguments: list[str], code: int, words: str) -> None:
    result = Place(kafka.bootstrap_servers, "nobody-made-this.").tail(*arguments)

    assert code == result.exit_code
    assert words in result.stderr
