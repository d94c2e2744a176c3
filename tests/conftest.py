"""The Kafka of all tests that need one: the one that is named, else one in Docker, else an embedded one."""

from collections.abc import Iterator

import pytest

from bostream.embedded import Broker, kafka_for_tests


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """One single-node Kafka for the whole session: tests choose topic and group names of their own."""
    with kafka_for_tests() as broker:
        yield broker
