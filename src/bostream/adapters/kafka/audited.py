"""An application's topics as ``bostream audit`` reads them: one consistent cut, taken beside running workers."""

from collections.abc import Iterator, Mapping, Sequence

from bostream.adapters.kafka.reading import TopicReader, committed_offsets
from bostream.adapters.kafka.records import Settings
from bostream.audit.source import Span
from bostream.contract.deadletter import dead_letter_topic
from bostream.contract.records import OUTPUT_RECORDS
from bostream.contract.topics import changelog, documents_log, public_topic, skus_log
from bostream.engine.ports import LogRange, Partition, Record

_PREFETCH = {"queued.min.messages": 20_000, "queued.max.messages.kbytes": 8_192}
"""Bounds what the client fetches ahead of each partition, by default some 64 MB."""


class KafkaSource:
    """The topics of an application at one cut, taken when this is made; see ``bostream.audit.source``.

    Args:
        settings: of a read_committed consumer.
        app: the application's name, which is its group's.
        prefix: what every topic's name begins with.
        inputs: the input topics that are read, by their names without prefix.
    """

    def __init__(self, settings: Settings, *, app: str, prefix: str, inputs: Sequence[str]) -> None:
        self._reader = TopicReader({**settings, **_PREFETCH})
        inputs = [public_topic(name, prefix) for name in inputs]
        documents, skus = documents_log(app, prefix), skus_log(app, prefix)
        changelogs = [changelog(documents), changelog(skus)]
        published = [public_topic(name, prefix) for name in OUTPUT_RECORDS]
        letters = [dead_letter_topic(topic) for topic in (*inputs, documents, skus)]
        by_topic: dict[str, list[Partition]] = {}
        for partition in self._reader.partitions([*inputs, documents, skus, *changelogs, *published, *letters]):
            by_topic.setdefault(partition.topic, []).append(partition)
        read_by_group = [partition for topic in (*inputs, documents, skus) for partition in by_topic[topic]]

        committed = committed_offsets(settings, app, read_by_group)
        early = self._ranges(by_topic, [*published, *changelogs, documents])
        late: dict[Partition, LogRange] = {}
        for topics in ([skus], [documents], [*letters, *inputs]):
            late |= self._ranges(by_topic, topics)
        of_logs = {partition: one for partition, one in late.items() if partition.topic in (documents, skus)}
        self._reader.wait_until_decided({**early, **of_logs})
        committed_later = committed_offsets(settings, app, read_by_group)

        self._spans: dict[str, dict[int, Span]] = {}
        for topic, partitions in by_topic.items():
            self._spans[topic] = {
                partition.number: Span(
                    start=(early | late)[partition].start,
                    end=(early | late)[partition].end,
                    early_end=early.get(partition, late.get(partition, LogRange(0, 0))).end,
                    committed=committed.get(partition),
                    is_settled=committed.get(partition) == committed_later.get(partition),
                )
                for partition in partitions
            }

    def _ranges(self, by_topic: Mapping[str, list[Partition]], topics: list[str]) -> dict[Partition, LogRange]:
        return self._reader.ranges([partition for topic in topics for partition in by_topic[topic]])

    def spans(self, topic: str) -> Mapping[int, Span]:
        """Return the audited part of each partition."""
        return self._spans.get(topic, {})

    def read(self, topic: str) -> Iterator[Record]:
        """Yield the committed records of a topic."""
        ranges = {
            Partition(topic, number): LogRange(span.start, span.end) for number, span in self.spans(topic).items()
        }
        for record in self._reader.read_ranges(ranges):
            if record is not None:
                yield record
