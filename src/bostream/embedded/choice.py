"""Chooses the Kafka for tests and benchmarks: the one that is named, else one in Docker, else an embedded one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from bostream.embedded.kafka import EmbeddedKafka

BOOTSTRAP_VARIABLE = "BOSTREAM_KAFKA__BOOTSTRAP_SERVERS"


class Broker(NamedTuple):
    """A Kafka to use: where it is, and who runs it."""

    bootstrap_servers: str
    kind: Literal["given", "docker", "embedded"]


@contextmanager
def kafka_for_tests() -> Iterator[Broker]:
    """Yield a single-node Kafka, and end it afterwards unless it was there before.

    In this order: the servers in ``BOSTREAM_KAFKA__BOOTSTRAP_SERVERS``; a container, when the package testcontainers is
    installed and a Docker engine answers; the embedded Kafka.

    Raises:
        BrokerError: none of them could be had.
    """
    from bostream.embedded import docker  # noqa: PLC0415 -- asks for an engine only when no servers are named

    if given := os.environ.get(BOOTSTRAP_VARIABLE):
        yield Broker(given, "given")
    elif docker.why_unavailable() is None:
        with docker.kafka_container() as bootstrap_servers:
            yield Broker(bootstrap_servers, "docker")
    else:
        with EmbeddedKafka() as kafka:
            yield Broker(kafka.bootstrap_servers, "embedded")
