"""The broker settings of the embedded Kafka, as data: one small node, or three on one machine.

What must stay true: whatever bostream relies on behaves as on a cluster for production (sizes of messages,
transactions, protocols of groups); only waiting times and memory are made small.
"""

from collections.abc import Sequence
from typing import NamedTuple

HOST = "127.0.0.1"


class Address(NamedTuple):
    """Where one node listens on this machine: for clients, and for the other controllers."""

    node: int
    client_port: int
    controller_port: int


def server_properties(own: Address, everyone: Sequence[Address], data_directory: str) -> dict[str, str]:
    """Return the properties of one node (broker and controller in one) of a cluster of one or three."""
    nodes = len(everyone)
    in_sync = 2 if nodes > 1 else 1
    voters = ",".join(f"{each.node}@{HOST}:{each.controller_port}" for each in everyone)
    return {
        "process.roles": "broker,controller",
        "node.id": str(own.node),
        "controller.quorum.voters": voters,
        "listeners": f"PLAINTEXT://{HOST}:{own.client_port},CONTROLLER://{HOST}:{own.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{own.client_port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": data_directory,
        # Topics are created on purpose, with the settings that they need.
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(nodes),
        "min.insync.replicas": str(in_sync),
        "offsets.topic.replication.factor": str(nodes),
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": str(nodes),
        "transaction.state.log.min.isr": str(in_sync),
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": str(nodes),
        "share.coordinator.state.topic.min.isr": str(in_sync),
        "share.coordinator.state.topic.num.partitions": "1",
        # A dead worker's open transaction ends within a second of its timeout, not within ten.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        # Groups form at once, and tests may choose short sessions under both protocols.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "group.consumer.min.session.timeout.ms": "1000",
        "group.consumer.session.timeout.ms": "6000",
        "group.consumer.min.heartbeat.interval.ms": "100",
        "group.consumer.heartbeat.interval.ms": "1000",
        # How long a killed node is missed: with one node its own restart waits for that, with three the takeover does.
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "3000" if nodes > 1 else "6000",
        # A commit marker that found no leader, as just after a crash, is tried again after at most this time, not 30 s.
        "request.timeout.ms": "5000",
        # The default of 128 MB would take half of the small heap.
        "log.cleaner.dedupe.buffer.size": "10485760",
        "num.network.threads": "2",
        "num.io.threads": "4",
    }


def render(properties: dict[str, str]) -> str:
    """Return the text of a ``server.properties`` file."""
    return "".join(f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in properties.items())
