"""Wires adapters to the engine: the one place that knows every part of a worker.

What must stay true: a setting is read here and nowhere below; the engine and the stages get plain values and ports.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bostream.adapters.clock import SystemClock
from bostream.adapters.failpoints import parse_failpoint
from bostream.adapters.kafka.admin import KafkaTopics
from bostream.adapters.kafka.audited import KafkaSource
from bostream.adapters.kafka.group import KafkaGroupConsumer
from bostream.adapters.kafka.logs import KafkaLogEnds, KafkaLogReader
from bostream.adapters.kafka.transactions import KafkaTransactionalProducer
from bostream.adapters.rocks import RocksStoreFactory
from bostream.audit.demand import DemandRules
from bostream.audit.reference import ReferenceRules
from bostream.audit.verify import Application, Chain
from bostream.contract.codec import InputReader, RecordReader, RecordWriter, json_writer, single_object_writer
from bostream.contract.deadletter import dead_letter, dead_letter_topic
from bostream.contract.records import OUTPUT_RECORDS
from bostream.contract.schemas import Schemas, load_schemas
from bostream.contract.topics import TopicSpec, changelog, differences, public_topic, topics
from bostream.domain.documents.desk import DeskRules
from bostream.domain.sku.book import Rules
from bostream.engine import chain
from bostream.engine.assignment import Assignment
from bostream.engine.collecting import Limits
from bostream.engine.pending import Pending
from bostream.engine.ports import Output, Record
from bostream.engine.restore import Restored, Restorer
from bostream.engine.task import LogSpec, Task
from bostream.engine.transaction import TransactionLoop
from bostream.errors import ConfigurationError
from bostream.settings import Settings
from bostream.stages.common import InternalLogs, Outputs
from bostream.stages.documents import documents_stage
from bostream.stages.intake import INPUT_TOPICS, make_intake
from bostream.stages.skus import skus_stage

if TYPE_CHECKING:
    from bostream.adapters.faust_host import FaustHost

_HOUR_US = 3_600_000_000
_MS_US = 1_000
_MESSAGE_BYTES_MAX = 9 << 20
"""Above the largest max.message.bytes of the topic table, so that the topic decides."""


# --- clients


def connection(settings: Settings) -> dict[str, Any]:
    """Return what every client needs to reach the brokers."""
    return {"bootstrap.servers": settings.kafka.bootstrap_servers, **settings.kafka.common}


def consumer_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings of the group's consumer; what the guarantee needs cannot be overridden."""
    engine = settings.engine
    return {
        "fetch.wait.max.ms": 10,
        "fetch.message.max.bytes": _MESSAGE_BYTES_MAX,
        **connection(settings),
        **settings.kafka.consumer,
        "group.id": settings.app,
        "group.instance.id": f"{settings.app}-{settings.instance}",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": engine.session_timeout_ms,
        "heartbeat.interval.ms": engine.heartbeat_ms,
        "max.poll.interval.ms": engine.max_poll_interval_ms,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        # an offset that does not exist is an error; where to begin without one is decided by the engine
        "auto.offset.reset": "error",
    }


def reader_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings of consumers outside the group: restore, audit, tail."""
    return {
        "fetch.wait.max.ms": 50,
        **connection(settings),
        **settings.kafka.consumer,
        "group.id": f"{settings.app}-reader",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
    }


def producer_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings of the transactional producer."""
    return {
        "linger.ms": 0,
        # the default of 100 makes back-to-back transactions wait 100 ms on CONCURRENT_TRANSACTIONS
        "retry.backoff.ms": 2,
        "retry.backoff.max.ms": 50,
        "message.max.bytes": _MESSAGE_BYTES_MAX,
        **connection(settings),
        **settings.kafka.producer,
        "transactional.id": f"{settings.app}-{settings.instance}",
        "transaction.timeout.ms": settings.engine.transaction_timeout_ms,
        "partitioner": "murmur2_random",
    }


# --- topics


def topic_specs(settings: Settings, brokers: int) -> tuple[TopicSpec, ...]:
    """Return the table of topics for this application on a cluster of so many brokers."""
    return topics(
        settings.app, settings.engine.partitions, settings.topics.prefix, replication_factor=min(3, max(1, brokers))
    )


def refuse_wrong_topics(topics_of_cluster: KafkaTopics, settings: Settings) -> None:
    """Refuse to start on topics that would break the guarantee. Raises ConfigurationError with every remedy."""
    specs = topic_specs(settings, topics_of_cluster.brokers())
    actual = topics_of_cluster.describe(spec.name for spec in specs)
    fatal = [difference for difference in differences(specs, actual) if difference.is_fatal]
    if fatal:
        lines = [f"{d.topic}: {d.what} is {d.actual}, must be {d.expected}; {d.remedy}" for d in fatal]
        raise ConfigurationError("\n  ".join(["topics are not as they must be:", *lines]))


# --- rules and records


def sku_rules(settings: Settings) -> Rules:
    """Return the constants of the SKU books."""
    rules = settings.rules
    return Rules(
        duplicate_horizon=rules.duplicate_horizon_hours * _HOUR_US,
        eta_change_threshold=rules.eta_change_threshold_hours * _HOUR_US,
        closed_retention=rules.closed_retention_hours * _HOUR_US,
    )


def desk_rules(settings: Settings) -> DeskRules:
    """Return the constants of the document desk."""
    rules = settings.rules
    return DeskRules(
        duplicate_horizon=rules.duplicate_horizon_hours * _HOUR_US,
        notice_window=rules.notice_window_ms * _MS_US,
        closed_retention=rules.closed_retention_hours * _HOUR_US,
    )


def output_writers(settings: Settings, schemas: Schemas) -> Mapping[str, RecordWriter]:
    """Return the encoder of each output topic in the configured format."""
    make = json_writer if settings.output.format == "json" else single_object_writer
    return {topic: make(topic, schemas) for topic in OUTPUT_RECORDS}


def log_specs(settings: Settings, schemas: Schemas) -> tuple[LogSpec, LogSpec]:
    """Return both internal logs with their stages."""
    app, prefix = settings.app, settings.topics.prefix
    logs = InternalLogs(app, settings.engine.partitions, prefix)
    outputs = Outputs(app, output_writers(settings, schemas), prefix)
    return (
        LogSpec(logs.documents, changelog(logs.documents), documents_stage(logs, outputs, desk_rules(settings))),
        LogSpec(logs.skus, changelog(logs.skus), skus_stage(logs, outputs, sku_rules(settings))),
    )


def engine_dead_letter(record: Record, error: Exception, stage: str) -> Output:
    """Return the dead letter of a record that made a stage fail."""
    letter = dead_letter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=record.headers,
        stage=stage,
        error=error,
    )
    return Output(letter.topic, letter.key, letter.value, letter.partition, headers=letter.headers)


def loop_limits(settings: Settings) -> Limits:
    """Return the bounds of the loop."""
    engine = settings.engine
    return Limits(
        batch_records_max=engine.batch_records_max,
        batch_bytes_max=engine.batch_bytes_max,
        batch_seconds_max=engine.batch_ms_max / 1000,
        poll_timeout_s=engine.poll_timeout_ms / 1000,
        merge_wait_s=engine.merge_wait_ms / 1000,
        intake_lag_max=engine.intake_lag_max_records,
        pending_records_max=2 * engine.batch_records_max,
        retry_backoff_s=engine.retry_backoff_ms / 1000,
        retry_backoff_max_s=engine.retry_backoff_max_ms / 1000,
        max_poll_interval_s=engine.max_poll_interval_ms / 1000,
    )


# --- the audit


def application_of(settings: Settings) -> Application:
    """Return what is to be audited, by the settings that its workers have."""
    schemas = load_schemas()
    rules, desk = sku_rules(settings), desk_rules(settings)
    return Application(
        app=settings.app,
        prefix=settings.topics.prefix,
        inputs=INPUT_TOPICS,
        rules=ReferenceRules(duplicate_horizon=rules.duplicate_horizon, retention=rules.closed_retention),
        desk=DemandRules(duplicate_horizon=desk.duplicate_horizon, retention=desk.closed_retention),
        make_input_reader=lambda topic: InputReader(topic, schemas),
        make_output_reader=lambda topic: RecordReader(topic, schemas),
        chain=Chain(chain.is_commit_key, chain.follow),
    )


def audited_topics(settings: Settings) -> KafkaSource:
    """Return the application's topics at one cut, taken now."""
    return KafkaSource(reader_settings(settings), app=settings.app, prefix=settings.topics.prefix, inputs=INPUT_TOPICS)


# --- a worker


def make_worker(settings: Settings) -> "FaustHost":
    """Return a worker, ready to run.

    Raises:
        ConfigurationError: a topic is missing or not as it must be.
        BrokerError: no broker answers.
    """
    from bostream.adapters.faust_host import FaustHost  # noqa: PLC0415 - a second of imports that only a worker needs

    clock = SystemClock()
    schemas = load_schemas()
    failpoint = parse_failpoint(settings.engine.failpoint)
    cluster = KafkaTopics(connection(settings))
    refuse_wrong_topics(cluster, settings)
    letters = cluster.describe(dead_letter_topic(public_topic(topic, settings.topics.prefix)) for topic in INPUT_TOPICS)
    logs = log_specs(settings, schemas)
    ends = KafkaLogEnds(cluster.client, group=settings.app, partitions_per_log=settings.engine.partitions, clock=clock)
    stores = RocksStoreFactory(
        Path(settings.state.directory), cache_mb=settings.state.cache_mb, write_buffer_mb=settings.state.write_buffer_mb
    )

    def make_task(spec: LogSpec, restored: Restored) -> Task:
        return Task(
            spec,
            restored.log,
            store=restored.store,
            link=restored.link,
            position=restored.position,
            owner=settings.instance,
            clean_objects_max=settings.state.clean_objects_max,
            dead_letter=engine_dead_letter,
        )

    pending = Pending()
    assignment = Assignment(
        logs,
        ends=ends,
        restorer=Restorer(KafkaLogReader(reader_settings(settings)), stores, settings.engine.restore_slice_records),
        make_task=make_task,
        pending=pending,
        committed_timeout_s=1.0,
    )
    intake = make_intake(
        app=settings.app,
        partitions=settings.engine.partitions,
        clock=clock,
        make_reader=lambda topic: InputReader(topic, schemas),
        prefix=settings.topics.prefix,
        dead_letter_partitions={
            topic: letters[dead_letter_topic(public_topic(topic, settings.topics.prefix))].partitions
            for topic in INPUT_TOPICS
        },
    )

    def make_producer() -> KafkaTransactionalProducer:
        return KafkaTransactionalProducer(producer_settings(settings))

    loop = TransactionLoop(
        consumer=KafkaGroupConsumer(consumer_settings(settings)),
        make_producer=make_producer,
        assignment=assignment,
        pending=pending,
        intake=intake,
        logs=logs,
        ends=ends,
        clock=clock,
        dead_letter=engine_dead_letter,
        limits=loop_limits(settings),
        failpoint=failpoint,
    )
    stage_names = [stage.name for stage in intake.values()] + ["documents", "skus"]
    return FaustHost(loop, stage_names, settings.app)
