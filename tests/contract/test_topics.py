"""The table of topics, and what a cluster may differ in."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bostream.contract.records import INPUT_RECORDS, OUTPUT_RECORDS
from bostream.contract.topics import (
    ActualTopic,
    Difference,
    TopicRole,
    TopicSpec,
    differences,
    documents_log,
    public_topic,
    skus_log,
    topics,
)

TABLE = {spec.name: spec for spec in topics("shop", partitions=12)}


def as_created(specs: tuple[TopicSpec, ...]) -> dict[str, ActualTopic]:
    return {spec.name: ActualTopic(spec.partitions, spec.replication_factor, dict(spec.config)) for spec in specs}


def compare(topic: str, change: Callable[[ActualTopic], ActualTopic]) -> list[Difference]:
    actual = as_created(tuple(TABLE.values()))
    actual[topic] = change(actual[topic])
    return differences(tuple(TABLE.values()), actual)


def setting(**config: str) -> Callable[[ActualTopic], ActualTopic]:
    changes = {name.replace("_", "."): value for name, value in config.items()}
    return lambda topic: msgspec.structs.replace(topic, config={**topic.config, **changes})


def field(**changes: Any) -> Callable[[ActualTopic], ActualTopic]:
    return lambda topic: msgspec.structs.replace(topic, **changes)


def test_the_table_names_every_topic_once() -> None:
    internal = {"shop-documents", "shop-skus"}
    expected = (
        set(INPUT_RECORDS)
        | set(OUTPUT_RECORDS)
        | internal
        | {f"{name}-changelog" for name in internal}
        | {f"{name}.dlq" for name in (*INPUT_RECORDS, *internal)}
    )
    assert expected == set(TABLE)
    assert len(topics("shop")) == len(TABLE)


def test_a_prefix_stands_before_every_name() -> None:
    assert {f"eu.{name}" for name in TABLE} == {spec.name for spec in topics("shop", prefix="eu.")}
    assert ("eu.orders", "eu.shop-documents", "eu.shop-skus") == (
        public_topic("orders", "eu."),
        documents_log("shop", "eu."),
        skus_log("shop", "eu."),
    )
    with pytest.raises(KeyError):
        public_topic("shop-skus")


def test_internal_logs_and_changelogs_have_the_engines_partitions_and_public_topics_their_own() -> None:
    counts = {role: {spec.partitions for spec in TABLE.values() if spec.role is role} for role in TopicRole}
    assert {12} == counts[TopicRole.INTERNAL_LOG] == counts[TopicRole.CHANGELOG]
    assert {8} == counts[TopicRole.INPUT] == counts[TopicRole.OUTPUT]
    assert (8, 12) == (TABLE["orders.dlq"].partitions, TABLE["shop-skus.dlq"].partitions)


def test_what_audit_and_state_are_made_of_is_never_deleted_by_age() -> None:
    for spec in TABLE.values():
        if spec.role is TopicRole.CHANGELOG:
            assert "compact" == spec.config["cleanup.policy"]
        if spec.role is TopicRole.INTERNAL_LOG:
            assert ("delete", "-1") == (spec.config["cleanup.policy"], spec.config["retention.ms"])
    compacted = {"allocation-policies", "backorder-lines", "stock-positions"}
    assert compacted == {
        spec.name
        for spec in TABLE.values()
        if spec.config["cleanup.policy"] == "compact" and spec.role is not TopicRole.CHANGELOG
    }


def test_no_topic_elects_a_stale_leader_or_replaces_timestamps() -> None:
    for spec in TABLE.values():
        assert "false" == spec.config["unclean.leader.election.enable"]
        assert "CreateTime" == spec.config["message.timestamp.type"]


@pytest.mark.parametrize(("replication_factor", "expected"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_two_replicas_must_have_a_write_from_a_factor_of_three_on(replication_factor: int, expected: str) -> None:
    specs = topics("shop", replication_factor=replication_factor)
    assert {(replication_factor, expected)} == {
        (spec.replication_factor, spec.config["min.insync.replicas"]) for spec in specs
    }


def test_every_dead_letter_fits_where_its_record_was() -> None:
    for spec in TABLE.values():
        if spec.role is TopicRole.DEAD_LETTERS:
            source = TABLE[spec.name.removesuffix(".dlq")]
            assert int(source.config["max.message.bytes"]) < int(spec.config["max.message.bytes"])


def test_topics_as_they_were_created_have_no_difference_and_foreign_topics_do_not_matter() -> None:
    specs = topics("shop")
    assert [] == differences(specs, as_created(specs) | {"other": ActualTopic(1, 1, {})})


def test_a_missing_topic_is_fatal_and_the_remedy_is_init() -> None:
    specs = topics("shop")
    actual = as_created(specs)
    del actual["shop-skus"]
    assert [
        Difference("shop-skus", "existence", "present", "missing", "run `bostream init` to create it", is_fatal=True)
    ] == differences(specs, actual)


@pytest.mark.parametrize("topic", ["shop-documents", "shop-skus", "shop-documents-changelog", "shop-skus-changelog"])
def test_another_partition_count_of_an_internal_topic_is_fatal(topic: str) -> None:
    (difference,) = compare(topic, field(partitions=13))
    assert (topic, "partitions", "12", "13", True) == (
        difference.topic,
        difference.what,
        difference.expected,
        difference.actual,
        difference.is_fatal,
    )
    assert "engine.partitions" in difference.remedy


@pytest.mark.parametrize("topic", ["orders", "allocations", "orders.dlq", "shop-skus.dlq"])
def test_public_topics_and_dead_letters_may_have_any_partition_count(topic: str) -> None:
    assert [] == compare(topic, field(partitions=1))


@pytest.mark.parametrize(
    ("topic", "name", "value", "is_fatal"),
    [
        ("shop-skus-changelog", "cleanup_policy", "compact,delete", True),
        ("shop-skus", "cleanup_policy", "compact", True),
        ("shop-skus", "message_timestamp_type", "LogAppendTime", True),
        ("shop-skus", "retention_ms", "604800000", False),
        ("orders", "cleanup_policy", "compact", False),
        ("orders", "message_timestamp_type", "LogAppendTime", False),
        ("orders", "retention_ms", "1", False),
        ("orders", "max_message_bytes", "1048588", False),
        ("orders", "max_message_bytes", "many", False),
        ("orders", "min_insync_replicas", "1", False),
        ("orders", "unclean_leader_election_enable", "true", False),
        ("shop-skus-changelog", "min_compaction_lag_ms", "0", False),
    ],
)
def test_a_setting_that_is_too_weak_is_reported_with_its_remedy(
    topic: str, name: str, value: str, is_fatal: bool
) -> None:
    (difference,) = compare(topic, setting(**{name: value}))
    kafka_name = name.replace("_", ".")
    assert (topic, kafka_name, value, is_fatal) == (
        difference.topic,
        difference.what,
        difference.actual,
        difference.is_fatal,
    )
    assert f"--add-config {kafka_name}={TABLE[topic].config[kafka_name]}" in difference.remedy


@pytest.mark.parametrize(
    ("topic", "name", "value"),
    [
        ("orders", "retention_ms", "-1"),
        ("orders", "retention_ms", "99999999999"),
        ("orders", "max_message_bytes", "99999999"),
        ("orders", "min_insync_replicas", "3"),
        ("orders", "unclean_leader_election_enable", "FALSE"),
        ("shop-skus-changelog", "segment_bytes", "1073741824"),
    ],
)
def test_more_than_asked_for_is_no_difference(topic: str, name: str, value: str) -> None:
    assert [] == compare(topic, setting(**{name: value}))


def test_fewer_replicas_and_unreported_settings_are_warnings() -> None:
    (difference,) = compare("orders", field(replication_factor=1))
    assert ("replication factor", "at least 3", "1", False) == (
        difference.what,
        difference.expected,
        difference.actual,
        difference.is_fatal,
    )
    reported = compare("orders", field(config={}))
    assert set(TABLE["orders"].config) == {one.what for one in reported}
    assert {"not reported"} == {one.actual for one in reported}
