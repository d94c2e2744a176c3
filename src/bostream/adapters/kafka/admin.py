"""Topics by Kafka's admin API: describe what is there, create what is missing. Never changes a topic that exists."""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigEntry, ConfigResource
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from bostream.adapters.kafka.errors import error_of
from bostream.adapters.kafka.records import Settings
from bostream.contract.topics import ActualTopic, TopicSpec
from bostream.errors import BrokerError

_TIMEOUT_S = 20.0
_POLL_S = 0.05


class KafkaTopics:
    """The topics of a cluster."""

    def __init__(self, settings: Settings) -> None:
        self.client = AdminClient(dict(settings))

    def brokers(self) -> int:
        """Return how many brokers there are. Raises BrokerError when none answers."""
        return len(self._metadata().brokers)

    def describe(self, names: Iterable[str]) -> dict[str, ActualTopic]:
        """Return those of the named topics that exist, with their settings."""
        wanted = set(names)
        metadata = self._metadata()
        found = {name: topic for name, topic in metadata.topics.items() if name in wanted and topic.error is None}
        configs = self._configs(list(found))
        return {
            name: ActualTopic(
                partitions=len(topic.partitions),
                replication_factor=min((len(p.replicas) for p in topic.partitions.values()), default=0),
                config=configs[name],
            )
            for name, topic in found.items()
        }

    def _metadata(self) -> ClusterMetadata:
        try:
            return self.client.list_topics(timeout=_TIMEOUT_S)
        except KafkaException as exception:
            raise BrokerError(
                f"no broker answered within {_TIMEOUT_S:.0f} s: {error_of(exception).str()}. "
                "Is kafka.bootstrap_servers right?"
            ) from exception

    def _configs(self, names: Sequence[str]) -> dict[str, Mapping[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        answers = self.client.describe_configs(resources, request_timeout=_TIMEOUT_S)
        return {resource.name: _values(_result(future, resource.name)) for resource, future in answers.items()}

    def create(self, specs: Iterable[TopicSpec]) -> list[str]:
        """Create these topics; return the names of those that did not exist before.

        Raises:
            BrokerError: a topic could not be created; the others may have been.
        """
        new = [
            NewTopic(
                spec.name,
                num_partitions=spec.partitions,
                replication_factor=spec.replication_factor,
                config=dict(spec.config),
            )
            for spec in specs
        ]
        created: list[str] = []
        if not new:
            return created
        for name, future in self.client.create_topics(new, operation_timeout=_TIMEOUT_S).items():
            try:
                future.result()
            except KafkaException as exception:
                error = error_of(exception)
                if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise BrokerError(f"topic {name} could not be created: {error.str()}") from exception
            else:
                created.append(name)
        self._await_visible(created)
        return created

    def _await_visible(self, names: Sequence[str]) -> None:
        """Wait until the brokers' metadata has the topics, each partition with a leader: at first it may not."""
        deadline_s = time.monotonic() + _TIMEOUT_S
        while missing := {name for name in names if not self._is_led(name)}:
            if time.monotonic() > deadline_s:
                raise BrokerError(f"{', '.join(sorted(missing))}: created, but the brokers name no leader")
            time.sleep(_POLL_S)

    def _is_led(self, name: str) -> bool:
        topic = self._metadata().topics.get(name)
        return topic is not None and topic.error is None and all(p.leader >= 0 for p in topic.partitions.values())


def _values(entries: Mapping[str, ConfigEntry]) -> dict[str, str]:
    return {name: entry.value for name, entry in entries.items() if entry.value is not None}


def _result(future: Future[dict[str, ConfigEntry]], name: str) -> dict[str, ConfigEntry]:
    try:
        return future.result()
    except KafkaException as exception:
        raise BrokerError(f"the settings of {name} could not be read: {error_of(exception).str()}") from exception
