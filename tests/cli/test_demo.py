"""The demo itself, for some seconds, on a real Kafka with real workers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from bostream.audit.findings import Kind
from bostream.cli.demonstration.plan import Wishes, plan_of
from bostream.cli.demonstration.report import Report
from bostream.cli.demonstration.running import Demonstration
from bostream.cli.demonstration.screen import PlainScreen
from bostream.cli.exits import Exit
from bostream.embedded import Broker
from bostream.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

RATE = ("--rate", "200")


def started(*flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bostream", "demo", "--json", "--seed", "7", "--partitions", "2", *flags]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BOSTREAM_")}
    # A session of its own, so that a signal reaches the demo and not the tests.
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def ended(demo: subprocess.Popen[str]) -> dict[str, Any]:
    try:
        out, errors = demo.communicate(timeout=280)
    except subprocess.TimeoutExpired:
        os.killpg(demo.pid, signal.SIGKILL)
        raise
    assert Exit.OK == demo.returncode, errors
    found: dict[str, Any] = json.loads(out)
    return found


def check(found: dict[str, Any]) -> None:
    """What must be true of every run, however short and however slow the machine."""
    assert (0, [], None) == (found["exit_code"], found["problems"], found["logs"])
    assert 0 == found["audit"]["differences"]
    assert [] == found["audit"]["limitations"]
    assert 0 == found["records"]["unprocessed"]
    # Not one record is lost or read twice on the way: what was sent, what was seen, what was audited.
    compared = found["audit"]["compared"]
    assert found["records"]["total"] == sum(found["records"]["by_topic"].values()) > 40
    assert found["allocations"]["total"] == compared["allocations"] > 0
    assert found["allocations"]["units_allocated"] >= found["allocations"]["by_type"]["ALLOCATED"]
    assert found["records"]["bad"] == found["dead_letters"]["total"]
    assert found["order_lines"] >= found["orders"] > 0
    assert found["notices"]["total"] > 0
    latency = found["latency_ms"]
    assert latency["samples"] + latency["left_out"] == found["allocations"]["by_type"]["ALLOCATED"]
    assert 0 == latency["unmatched"]


def test_the_embedded_demo_ends_with_a_clean_audit_and_leaves_nothing_behind() -> None:
    found = ended(started("--duration", "5", *RATE))

    check(found)
    assert found["kafka"]["is_embedded"]
    assert ("steady", 7, 2) == (found["scenario"], found["seed"], found["workers"]["count"])
    # Whoever was started by it had its own Kafka's address, or a directory of it, on its command line.
    assert [] == processes_with(found["kafka"]["bootstrap_servers"])


@pytest.mark.kill
@pytest.mark.parametrize(
    ("scenario", "flags"),
    [
        ("launch", ("--workers", "1")),
        ("late-asn", ("--workers", "1")),
        ("recount", ("--duration", "7", "--kill-worker-every", "3")),
    ],
)
def test_each_story_ends_with_a_clean_audit_also_when_workers_are_killed(
    kafka: Broker, scenario: str, flags: tuple[str, ...]
) -> None:
    where = ("--bootstrap-servers", kafka.bootstrap_servers)
    found = ended(started("--duration", "4", *RATE, "--scenario", scenario, *where, *flags))

    check(found)
    assert scenario == found["scenario"]
    assert ("--kill-worker-every" in flags) == (found["workers"]["killed"] > 0)


def test_ctrl_c_ends_it_early_with_the_audit_of_what_was_processed(kafka: Broker) -> None:
    demo = started("--duration", "0", *RATE, "--workers", "1", "--bootstrap-servers", kafka.bootstrap_servers)
    assert demo.stderr is not None
    for line in demo.stderr:
        if " records " in line and " 0 records" not in line:
            break
    demo.send_signal(signal.SIGINT)
    out, _ = demo.communicate(timeout=200)

    assert (Exit.OK, 0) == (demo.returncode, json.loads(out)["audit"]["differences"])


def test_a_forged_allocation_is_found_and_decides_the_exit_code(kafka: Broker) -> None:
    report = run_in_process(kafka, repeat_an_allocation)

    assert report.findings is not None
    assert report.findings.counts[Kind.EVENT_ID_REPEATED] + report.findings.counts[Kind.ALLOCATION_DOUBLED] > 0
    assert Exit.INVARIANT == report.exit_code


def run_in_process(kafka: Broker, before_audit: Any) -> Report:
    wishes = Wishes(bootstrap_servers=kafka.bootstrap_servers, duration_s=3, rate=200, workers=1, partitions=2)
    return Demonstration(plan_of(wishes), PlainScreen(), before_audit=before_audit).run()


def repeat_an_allocation(settings: Settings) -> None:
    """Publish one allocation a second time, as a worker without transactions would."""
    servers = settings.kafka.bootstrap_servers
    topic = f"{settings.topics.prefix}allocations"
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "forger", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(8)])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    assert message.error() is None
    producer = Producer({"bootstrap.servers": servers})
    producer.produce(topic, message.value(), message.key(), message.partition() or 0, headers=message.headers())
    assert 0 == producer.flush(30)


def processes_with(words: str) -> Sequence[str]:
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if words in line]
