"""A real Apache Kafka from Python packages alone: for the demo, the tests, the benchmarks and laptops.

What must stay true: after the first start nothing here needs a network; a start never touches a broker that it did not
start; nothing that it started outlives the process that asked for it, not even when that process dies by ``kill -9``.
"""

from bostream.embedded.choice import Broker, kafka_for_tests
from bostream.embedded.kafka import EmbeddedKafka

__all__ = ["Broker", "EmbeddedKafka", "kafka_for_tests"]
