"""Scaling under load: a worker leaves, another joins, partitions move with their state, and totals stay right."""

from pathlib import Path

import msgspec
import pytest

from bostream.contract.topics import changelog
from bostream.embedded import Broker
from bostream.engine import chain
from tests.integration.harness import Application, Follower
from tests.integration.harness_load import Load
from tests.integration.harness_oracle import judge

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PARTITIONS = 6


class Owners:
    """Who commits: the commit records in the changelogs say."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    def since_last_asked(self) -> set[str]:
        self._follower.poll()
        owners = set()
        for records in self._follower.records.values():
            owners |= {
                msgspec.msgpack.decode(record.value or b"", type=chain.CommitRecord).owner
                for record in records
                if chain.is_commit_key(record.key or b"")
            }
            records.clear()
        return owners


def test_a_worker_leaves_and_another_joins_under_load(kafka: Broker, tmp_path: Path) -> None:
    with Application(kafka, "scaling", tmp_path, partitions=PARTITIONS) as application:
        application.create_topics()
        changelogs = application.partitions(map(changelog, (application.documents, application.skus)))
        follower = Follower(application.reader_settings, changelogs)
        owners = Owners(follower)
        load = Load("scaling")

        def feed_until_seen(*wanted: str) -> None:
            seen: set[str] = set()

            def are_seen() -> bool:
                seen.update(owners.since_last_asked())
                if not seen.issuperset(wanted):
                    load.feed(application, 10)
                return seen.issuperset(wanted)

            application.await_that(are_seen, f"commits of {wanted}")

        load.feed(application, 100)
        first, second = application.start("w1"), application.start("w2")
        feed_until_seen("w1", "w2")
        first.terminate()
        third = application.start("w3")
        feed_until_seen("w2", "w3")
        assert 0 == first.await_end()
        load.feed(application, 100)
        application.await_rest()
        follower.close()
        assert [0, 0] == [second.stop(), third.stop()]
        verdict = judge(application, tmp_path / "scratch")
        assert verdict.is_good, "\n".join(verdict.findings)
        assert verdict.inputs == application.sent
