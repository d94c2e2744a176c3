"""Kafka in memory, for tests of the engine and of whatever runs on it.

What must stay true: the suites in ``tests/contracts`` pass on it as they pass on Kafka.
"""

from bostream.testing.cluster.clock import VirtualClock
from bostream.testing.cluster.cluster import FakeCluster
from bostream.testing.cluster.faults import Call, Fault, SimulatedCrash

__all__ = ["Call", "FakeCluster", "Fault", "SimulatedCrash", "VirtualClock"]
