"""What the tests of brokers do with a broker, in the words of its own client."""

import logging

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # public, not re-exported

# A client that loses its broker says so on stderr; here brokers are killed on purpose.
_SILENT = logging.getLogger("tests.kafka")
_SILENT.setLevel(logging.CRITICAL)
_TIMEOUT_S = 60.0


def create_topic(bootstrap_servers: str, name: str, partitions: int = 1) -> None:
    """Create a topic with the broker's default replication."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers}, logger=_SILENT)
    admin.create_topics([NewTopic(name, partitions)], operation_timeout=_TIMEOUT_S)[name].result(_TIMEOUT_S)


def write_in_transaction(bootstrap_servers: str, topic: str, value: bytes) -> None:
    """Commit one record in a transaction; tried again while a coordinator moves."""
    settings = {"bootstrap.servers": bootstrap_servers, "transactional.id": f"writer-{topic}", "retry.backoff.ms": 5}
    producer = Producer(settings, logger=_SILENT)
    producer.init_transactions(_TIMEOUT_S)
    while True:
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        try:
            producer.commit_transaction(_TIMEOUT_S)
        except KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise
            producer.abort_transaction(_TIMEOUT_S)
        else:
            return


def read_committed(bootstrap_servers: str, topic: str, count: int) -> list[bytes | None]:
    """Return the first ``count`` committed values of partition 0."""
    settings = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": f"reader-{topic}",
        "isolation.level": "read_committed",
    }
    consumer = Consumer(settings, logger=_SILENT)
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        values: list[bytes | None] = []
        while len(values) < count:
            message = consumer.poll(_TIMEOUT_S)
            if message is None:
                raise TimeoutError(f"{topic} showed {values} and nothing more within {_TIMEOUT_S} s")
            # A broker that is coming back is told as an error, and tried again by the client.
            if (error := message.error()) is None:
                values.append(message.value())
            elif not error.retriable():
                raise KafkaException(error)
        return values
    finally:
        consumer.close()
