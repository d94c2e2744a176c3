"""Kafka in a container, for machines on which a Docker engine answers (through the optional package testcontainers).

What must stay true: asking whether an engine answers never raises and takes seconds at most; the container is removed
at the end, also when the tests fail.
"""

import importlib.util
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bostream.embedded import probe
from bostream.embedded.artifacts import KAFKA_VERSION
from bostream.embedded.ports import free_addresses
from bostream.embedded.properties import server_properties
from bostream.errors import BrokerError

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
_PING_TIMEOUT_S = 3
_DOCKER_PORT = 2375
_START_TIMEOUT_S = 120.0
_PROBE_INTERVAL_S = 0.2
_PROBE_TIMEOUT_S = 2.0


def why_unavailable() -> str | None:
    """Return why no container can be started here, in a sentence; None when one can."""
    if importlib.util.find_spec("testcontainers") is None:
        return "the package testcontainers is not installed"
    places = _engine_places()
    return None if any(map(_answers, places)) else f"no Docker engine answers on {' or '.join(places)}"


def _engine_places() -> list[str]:
    """Return where an engine may listen: ``DOCKER_HOST`` alone when it is set, else the usual sockets."""
    if named := os.environ.get("DOCKER_HOST"):
        return [named]
    return ["unix:///var/run/docker.sock", f"unix://{Path.home()}/.docker/run/docker.sock"]


def _answers(place: str) -> bool:
    """Tell whether an engine answers a ping there.

    Asked without the client library, which leaves its sockets open when there is no engine.
    """
    url = urlsplit(place)
    is_local = url.scheme == "unix"
    try:
        with socket.socket(socket.AF_UNIX if is_local else socket.AF_INET) as connection:
            connection.settimeout(_PING_TIMEOUT_S)
            connection.connect(url.path if is_local else (url.hostname, url.port or _DOCKER_PORT))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/")
    except (OSError, TypeError):
        return False


@contextmanager
def kafka_container() -> Iterator[str]:
    """Yield the bootstrap servers of a fresh single-node Kafka in a container.

    Raises:
        BrokerError: it does not answer in time.
    """
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 -- optional

    (address,) = free_addresses(1)
    port = address.client_port
    properties = server_properties(address, [address], "/tmp/kafka-data")  # noqa: S108 -- inside the container
    # Inside the container every interface is its own; outside, the port is bound to this machine's loopback.
    properties["listeners"] = f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://127.0.0.1:{address.controller_port}"
    container = DockerContainer(IMAGE).with_bind_ports(port, port)
    for name, value in properties.items():
        container.with_env("KAFKA_" + name.replace(".", "_").upper(), value)
    with container:
        host = container.get_container_host_ip()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while probe.live_brokers(host, port, _PROBE_TIMEOUT_S) < 1:
            if time.monotonic() > deadline:
                raise BrokerError(f"{IMAGE} in Docker did not answer on {host}:{port} within {_START_TIMEOUT_S:.0f} s.")
            time.sleep(_PROBE_INTERVAL_S)
        yield f"{host}:{port}"
