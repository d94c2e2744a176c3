"""Upstream systems choose partition counts and keys of the public topics: the results are the same."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bostream.contract.records import InputRecord
from bostream.domain.documents.events import OrderAction
from bostream.domain.sku.events import ScanType
from bostream.embedded import Broker
from bostream.testing.driver import PipelineDriver
from tests.integration.harness import Application
from tests.integration.harness_oracle import judge
from tests.stages.support import SECOND, asn, order, scan

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

SKUS = tuple(f"S{number}" for number in range(6))
PUBLIC = ("orders", "inventory-scans", "asns", "allocations", "notifications", "backorder-lines", "stock-positions")
HOUR_MS = 3_600_000

Timed = tuple[InputRecord, int]


def phases(start: int) -> Iterator[list[Timed]]:
    """Yield inputs with their timestamps, phase by phase; each phase begins when the one before was processed.

    In the first one the order in which scans are taken decides the result: a count without an expectation corrects
    what is believed then. In the others it does not matter, since each SKU hears one thing that moves units; there all
    records have the same timestamp, since the moment from which a line waits is log time.
    """
    chance = random.Random(7)
    moments = itertools.count(start + SECOND, SECOND)

    def at_once(*records: InputRecord) -> list[Timed]:
        moment = next(moments)
        return [(record, moment) for record in records]

    scans = []
    for number in range(90):
        kind = chance.choice((ScanType.RECEIVED, ScanType.RECEIVED, ScanType.COUNTED))
        sku = f"COUNTED-{number % 3}"
        scans.append(scan(kind, chance.randint(1, 9), sku=sku, at=start + number, event_id=f"count-{number}"))
    yield [(record, start + number * 1_000) for number, record in enumerate(scans)]
    orders = [
        order(
            f"O{number}",
            ("1", chance.choice(SKUS), chance.randint(1, 5)),
            at=start,
            accepted_at=start - chance.randint(1, 60) * SECOND,
            priority=chance.randint(0, 9),
        )
        for number in range(90)
    ]
    yield at_once(*orders, *(asn(f"A-{sku}", ("1", sku, 30), at=start, eta=start + SECOND * 3600) for sku in SKUS))
    for part in range(2):
        yield at_once(
            *(scan(ScanType.RECEIVED, chance.randint(8, 20), sku=sku, event_id=f"{sku}-{part}") for sku in SKUS)
        )
    cancelled = {one.lines[0].sku: one.order_id for one in orders}
    yield at_once(*(order(name, version=2, action=OrderAction.CANCELLED, at=start) for name in cancelled.values()))


def expected_results(start: int) -> tuple[Counter[bytes], dict[str, Any], dict[str, Any]]:
    """Return what the stages give in memory, in the order of the timestamps."""
    driver = PipelineDriver()
    for phase in phases(start):
        for record, timestamp in phase:
            driver.send(record, timestamp)
    return (
        Counter(map(comparable, driver.published("allocations"))),
        driver.compacted("backorder-lines"),
        driver.compacted("stock-positions"),
    )


def comparable(event: Any) -> bytes:
    """Return an allocation without its id, which tells where the internal log had the cause."""
    return msgspec.json.encode(msgspec.structs.replace(event, event_id=""))


@pytest.mark.parametrize("partitions", [1, 3, 13])
def test_partition_counts_and_keys_of_public_topics_change_nothing(
    partitions: int, kafka: Broker, tmp_path: Path
) -> None:
    start = (int(time.time() * 1000) - HOUR_MS) * 1000
    chance = random.Random(partitions)
    settings = {"engine.merge_wait_ms": 60_000, "engine.batch_records_max": 50}
    with Application(
        kafka, f"public-{partitions}", tmp_path, partitions_of=dict.fromkeys(PUBLIC, partitions), settings=settings
    ) as application:
        application.create_topics()
        worker = None
        for phase in phases(start):
            for record, timestamp in phase:
                application.send(record, key=chance.randbytes(8), timestamp=timestamp)
            application.flush()
            worker = worker or application.start("w1")
            application.await_rest()
        assert worker is not None
        assert 0 == worker.stop()

        allocations, lines, positions = expected_results(start)
        assert allocations.total() > 50
        assert allocations == Counter(map(comparable, application.published("allocations")))
        assert lines == application.compacted("backorder-lines")
        assert positions == application.compacted("stock-positions")
        verdict = judge(application, tmp_path / "scratch", worker.state)
        assert verdict.is_good, "\n".join(verdict.findings)
