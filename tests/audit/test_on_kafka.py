"""A small run on a real Kafka is audited while it goes on and afterwards; then one forged record is found."""

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from bostream.adapters.kafka.reading import TopicReader
from bostream.audit.findings import Findings
from bostream.audit.verify import audit
from bostream.cli.wiring import application_of, audited_topics, reader_settings
from bostream.contract.codec import RecordReader, single_object_writer
from bostream.contract.records import INPUT_RECORDS, InputRecord
from bostream.contract.schemas import load_schemas
from bostream.domain.documents.events import OrderAction
from bostream.domain.sku.events import ScanType
from bostream.embedded import Broker
from bostream.settings import load_settings
from tests.stages.support import NOON, asn, order, scan

APP = f"audited-{secrets.token_hex(3)}"
PREFIX = f"{APP}."
PARTITIONS = 2
DEADLINE_S = 90.0
SCHEMAS = load_schemas()
TOPICS = {INPUT_RECORDS[topic]: topic for topic in INPUT_RECORDS}


def bostream(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bostream", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def business() -> list[InputRecord]:
    sent: list[InputRecord] = [asn("A1", ("1", "S", 40))]
    sent.extend(
        order(f"O{number}", ("1", "S", 3), ("2", "T", 1), at=NOON + number, priority=number % 4) for number in range(40)
    )
    sent.append(scan(ScanType.RECEIVED, 60, asn=("A1", "1")))
    sent.append(scan(ScanType.RECEIVED, 25, sku="T", location="W2"))
    sent.append(scan(ScanType.COUNTED, 50, expected=60))
    sent.append(order("O1", version=2, action=OrderAction.CANCELLED))
    sent.append(order("O2", ("1", "S", 1), ("2", "S", 7), version=2, action=OrderAction.AMENDED))
    return sent


def send(bootstrap_servers: str, records: list[InputRecord]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    for record in records:
        topic = TOPICS[type(record)]
        producer.produce(PREFIX + topic, single_object_writer(topic, SCHEMAS).write(record), key=b"any")
    producer.produce(PREFIX + "orders", b"nonsense", key=b"bad", headers=[("traceparent", b"t")])
    producer.flush(DEADLINE_S)


def audit_until_processed(settings: Any, inputs: int) -> Findings:
    """Audit the running system again and again: it must never differ, and is done when nothing is left over."""
    source_of, deadline_s = application_of(settings), time.monotonic() + DEADLINE_S
    while True:
        findings = audit(audited_topics(settings), source_of, lambda *_, **__: None)
        assert [] == findings.kept
        compared = findings.compared
        read = sum(compared[f"records of {PREFIX}{topic}"] for topic in ("orders", "inventory-scans", "asns"))
        if not findings.limitations and read == inputs and compared["dead letters of " + PREFIX + "orders"] == 1:
            return findings
        assert time.monotonic() < deadline_s, (findings.limitations, compared)


@pytest.mark.kafka
def test_a_run_is_audited_and_a_forged_allocation_found(kafka: Broker, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "BOSTREAM_APP": APP,
        "BOSTREAM_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "BOSTREAM_TOPICS__PREFIX": PREFIX,
        "BOSTREAM_ENGINE__PARTITIONS": str(PARTITIONS),
        "BOSTREAM_STATE__DIRECTORY": str(tmp_path),
    }
    made = bostream(environment, "init")
    assert 0 == made.returncode, made.stderr
    settings = load_settings(
        {
            "app": APP,
            "kafka.bootstrap_servers": kafka.bootstrap_servers,
            "topics.prefix": PREFIX,
            "engine.partitions": PARTITIONS,
        }
    ).settings
    sent = business()
    send(kafka.bootstrap_servers, sent)
    log = (tmp_path / "worker.log").open("w")
    worker = subprocess.Popen(
        [sys.executable, "-m", "bostream", "worker", "--instance", "w1"], env=environment, stderr=log
    )
    try:
        findings = audit_until_processed(settings, len(sent))
    finally:
        worker.terminate()
        worker.wait(DEADLINE_S)
        log.close()
    assert findings.compared["allocations"] > 0

    quiet = bostream(environment, "audit", "--json")
    assert (0, 0) == (quiet.returncode, json.loads(quiet.stdout)["differences"]), quiet.stderr
    assert f"{APP}-skus: " in quiet.stderr

    topic = PREFIX + "allocations"
    genuine = next(record for record in TopicReader(reader_settings(settings)).read([topic]) if record is not None)
    event = RecordReader("allocations", SCHEMAS).read(genuine.value)
    forged = msgspec.structs.replace(event, sku_sequence=999, event_id="forged")
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    producer.produce(topic, single_object_writer("allocations", SCHEMAS).write(forged), key=genuine.key, partition=0)
    producer.flush(DEADLINE_S)
    found = bostream(environment, "audit", "--json")
    assert 8 == found.returncode, found.stderr
    (finding,) = json.loads(found.stdout)["findings"]
    assert ("ALLOCATION_UNEXPECTED", topic, 0) == (finding["kind"], finding["topic"], finding["partition"])
    assert "sku_sequence 999" in finding["subject"]
    assert 8 == bostream(environment, "audit").returncode
