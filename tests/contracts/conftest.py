"""One fixture for the suites of the Kafka ports: each test runs on the fake cluster and on a real one."""

import re
import secrets
from collections.abc import Iterator

import pytest

from tests.contracts.clusters import Cluster, FakeSide, RealSide

_RUN = secrets.token_hex(3)
"""A broker that was there before remembers the names of earlier runs."""


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.kafka)])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster on which nothing of this test's names exists."""
    if request.param == "fake":
        yield FakeSide()
        return
    side = RealSide(request.getfixturevalue("kafka"), name_of(request))
    try:
        yield side
    finally:
        side.close()


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic name of this test's own; nobody has created it yet."""
    return name_of(request)


def name_of(request: pytest.FixtureRequest) -> str:
    """Return a name that Kafka takes, other for each test."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"{_RUN}-{request.node.name}")[:200].strip("-")
