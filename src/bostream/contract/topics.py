"""The one table of topics: what each holds and how it must be set up.

What must stay true: every topic that is read or written has its row here, nothing else in the code states a topic's
settings, and nothing here talks to Kafka. Internal logs and changelogs have exactly P partitions for ever, since a
key's place depends on the count; the public topics may have any.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from bostream.contract.deadletter import dead_letter_topic
from bostream.contract.records import INPUT_RECORDS, OUTPUT_RECORDS

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
MIB: Final = 1_048_576

PARTITIONS: Final = 8
REPLICATION_FACTOR: Final = 3
UNLIMITED: Final = "-1"

INPUT_BYTES_MAX: Final = 2 * MIB
OUTPUT_BYTES_MAX: Final = 4 * MIB
INTERNAL_BYTES_MAX: Final = 8 * MIB
DEAD_LETTER_HEADROOM_BYTES: Final = MIB
"""Room for the headers that a dead letter has on top of its record."""

CHANGELOG_SEGMENT_BYTES: Final = 128 * MIB
"""Small enough that compaction, which spares the newest segment, keeps a restore short."""


class TopicRole(StrEnum):
    """What a topic is for."""

    INPUT = "input"
    OUTPUT = "output"
    INTERNAL_LOG = "internal log"
    CHANGELOG = "changelog"
    DEAD_LETTERS = "dead letters"


class TopicSpec(msgspec.Struct, frozen=True):
    """One topic as it must be.

    Attributes:
        name: full name, with the prefix.
        role: what it is for.
        key: what its keys mean.
        partitions: how many it is created with.
        replication_factor: copies of each partition.
        config: the topic's settings, as Kafka names and writes them.
    """

    name: str
    role: TopicRole
    key: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]

    @property
    def is_partition_count_fixed(self) -> bool:
        """Whether another number of partitions would send keys to other places than before."""
        return self.role in (TopicRole.INTERNAL_LOG, TopicRole.CHANGELOG)


class ActualTopic(msgspec.Struct, frozen=True):
    """One topic as the cluster describes it."""

    partitions: int
    replication_factor: int
    config: Mapping[str, str]


class Difference(msgspec.Struct, frozen=True):
    """One way in which a topic is not as it must be.

    ``is_fatal``: a worker must refuse to start; otherwise it is a warning. ``remedy`` is one sentence for people.
    """

    topic: str
    what: str
    expected: str
    actual: str
    remedy: str
    is_fatal: bool


class _Row(msgspec.Struct, frozen=True):
    """What distinguishes a topic of the table; names without application and prefix."""

    name: str
    role: TopicRole
    key: str
    cleanup: str
    retention_ms: str
    bytes_max: int


_INPUT, _OUTPUT = TopicRole.INPUT, TopicRole.OUTPUT
_LOG, _CHANGELOG = TopicRole.INTERNAL_LOG, TopicRole.CHANGELOG
_WEEK: Final = str(7 * DAY_MS)
_MONTH: Final = str(30 * DAY_MS)

_PUBLIC: Final = (
    _Row("orders", _INPUT, "order_id", "delete", _WEEK, INPUT_BYTES_MAX),
    _Row("inventory-scans", _INPUT, "sku, by convention", "delete", _WEEK, INPUT_BYTES_MAX),
    _Row("asns", _INPUT, "asn_id", "delete", _WEEK, INPUT_BYTES_MAX),
    _Row("allocation-policies", _INPUT, "sku or *", "compact", UNLIMITED, INPUT_BYTES_MAX),
    # Unlimited: consumers rebuild a SKU from it, and the audit compares it with the logs.
    _Row("allocations", _OUTPUT, "order_id", "delete", UNLIMITED, OUTPUT_BYTES_MAX),
    _Row("notifications", _OUTPUT, "order_id, SKU or asn_id", "delete", _WEEK, OUTPUT_BYTES_MAX),
    _Row("backorder-lines", _OUTPUT, "order_id/line_id", "compact", UNLIMITED, OUTPUT_BYTES_MAX),
    _Row("stock-positions", _OUTPUT, "sku/location", "compact", UNLIMITED, OUTPUT_BYTES_MAX),
)

# Unlimited: audit and replay read the logs from their beginning. Compaction would lose events.
_INTERNAL: Final = (
    _Row("documents", _LOG, "order_id or asn_id", "delete", UNLIMITED, INTERNAL_BYTES_MAX),
    _Row("skus", _LOG, "sku", "delete", UNLIMITED, INTERNAL_BYTES_MAX),
    # Compact only: deleting by age would lose state that nobody has touched for a while.
    _Row("documents-changelog", _CHANGELOG, "table and row", "compact", UNLIMITED, INTERNAL_BYTES_MAX),
    _Row("skus-changelog", _CHANGELOG, "table and row", "compact", UNLIMITED, INTERNAL_BYTES_MAX),
)


def public_topic(name: str, prefix: str = "") -> str:
    """Return the full name of a public topic. KeyError for a name that is not in the contract."""
    if name not in INPUT_RECORDS and name not in OUTPUT_RECORDS:
        raise KeyError(name)
    return prefix + name


def documents_log(app: str, prefix: str = "") -> str:
    """Return the name of the log of the document desk."""
    return f"{prefix}{app}-documents"


def skus_log(app: str, prefix: str = "") -> str:
    """Return the name of the log of the SKU books."""
    return f"{prefix}{app}-skus"


def changelog(log: str) -> str:
    """Return the name of the changelog of the state that an internal log makes."""
    return f"{log}-changelog"


def topics(
    app: str, partitions: int = PARTITIONS, prefix: str = "", replication_factor: int = REPLICATION_FACTOR
) -> tuple[TopicSpec, ...]:
    """Return every topic of an application.

    Args:
        app: the application's name; part of the internal topics' names.
        partitions: how many the internal logs and changelogs have.
        prefix: what every name begins with.
        replication_factor: copies of each partition; from 3 on two must be in sync for a write.
    """
    specs = []
    for row in (*_PUBLIC, *(msgspec.structs.replace(row, name=f"{app}-{row.name}") for row in _INTERNAL)):
        is_internal = row.role in (_LOG, _CHANGELOG)
        count = partitions if is_internal else PARTITIONS
        specs.append(_spec(row, prefix, count, replication_factor))
        if row.role in (_INPUT, _LOG):
            letters = _Row(
                dead_letter_topic(row.name),
                TopicRole.DEAD_LETTERS,
                "as in the topic it came from",
                "delete",
                _MONTH,
                row.bytes_max + DEAD_LETTER_HEADROOM_BYTES,
            )
            specs.append(_spec(letters, prefix, count, replication_factor))
    return tuple(specs)


def _spec(row: _Row, prefix: str, partitions: int, replication_factor: int) -> TopicSpec:
    config = {
        "cleanup.policy": row.cleanup,
        "retention.ms": row.retention_ms,
        "retention.bytes": UNLIMITED,
        "max.message.bytes": str(row.bytes_max),
        "min.insync.replicas": str(min_insync_replicas(replication_factor)),
        "unclean.leader.election.enable": "false",
        # Log time is what the intake stamps, not when a broker wrote it.
        "message.timestamp.type": "CreateTime",
    }
    if row.role is _CHANGELOG:
        # The newest hour of commit records stays, so that the audit can walk their chain.
        # A restore that takes longer than tombstones stay could bring deleted rows back.
        config |= {
            "min.compaction.lag.ms": str(HOUR_MS),
            "delete.retention.ms": _WEEK,
            "segment.bytes": str(CHANGELOG_SEGMENT_BYTES),
        }
    return TopicSpec(prefix + row.name, row.role, row.key, partitions, replication_factor, config)


def min_insync_replicas(replication_factor: int) -> int:
    """Return how many replicas must have a write: two from a factor of 3 on, so that one broker may be away."""
    return 2 if replication_factor >= 3 else 1  # noqa: PLR2004 - stated in the docstring


# --- comparison

_AT_LEAST: Final = frozenset(
    {
        "retention.ms",
        "retention.bytes",
        "max.message.bytes",
        "min.insync.replicas",
        "min.compaction.lag.ms",
        "delete.retention.ms",
    }
)
"""Settings of which more is as good."""

_TUNING: Final = frozenset({"segment.bytes"})
"""Settings that a cluster's operator may choose freely."""

_FATAL_SETTINGS: Final = frozenset({"cleanup.policy", "message.timestamp.type"})
"""Settings of our own logs that would lose records or falsify log time."""


def differences(specs: tuple[TopicSpec, ...], actual: Mapping[str, ActualTopic]) -> list[Difference]:
    """Compare the table with what a cluster has; topics that are not in the table are nobody's business.

    A setting that ``actual`` does not mention counts as different.
    """
    found: list[Difference] = []
    for spec in specs:
        topic = actual.get(spec.name)
        if topic is None:
            remedy = "run `bostream init` to create it"
            found.append(Difference(spec.name, "existence", "present", "missing", remedy, is_fatal=True))
            continue
        found += _layout_differences(spec, topic)
        found += _config_differences(spec, topic)
    return found


def _layout_differences(spec: TopicSpec, actual: ActualTopic) -> list[Difference]:
    found = []
    if spec.is_partition_count_fixed and actual.partitions != spec.partitions:
        remedy = (
            f"set engine.partitions to the count that `bostream init` was run with ({actual.partitions}, unless "
            "somebody changed the topic); never add partitions, since keys would move away from their state"
        )
        found.append(
            Difference(spec.name, "partitions", str(spec.partitions), str(actual.partitions), remedy, is_fatal=True)
        )
    if actual.replication_factor < spec.replication_factor:
        remedy = "reassign its partitions to more brokers (kafka-reassign-partitions), or lower the setting"
        expected = f"at least {spec.replication_factor}"
        found.append(
            Difference(
                spec.name, "replication factor", expected, str(actual.replication_factor), remedy, is_fatal=False
            )
        )
    return found


def _config_differences(spec: TopicSpec, actual: ActualTopic) -> list[Difference]:
    found = []
    for setting, expected in spec.config.items():
        present = actual.config.get(setting)
        if setting in _TUNING or (present is not None and _satisfies(setting, expected, present)):
            continue
        found.append(
            Difference(
                spec.name,
                setting,
                f"at least {expected}" if setting in _AT_LEAST and expected != UNLIMITED else expected,
                "not reported" if present is None else present,
                f"kafka-configs --alter --topic {spec.name} --add-config {setting}={expected}",
                is_fatal=spec.is_partition_count_fixed and setting in _FATAL_SETTINGS,
            )
        )
    return found


def _satisfies(setting: str, expected: str, actual: str) -> bool:
    if setting in _AT_LEAST:
        return actual == UNLIMITED or (expected != UNLIMITED and _number(actual) >= int(expected))
    if setting == "cleanup.policy":
        return set(actual.replace(" ", "").split(",")) == set(expected.split(","))
    return actual.lower() == expected.lower()


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return -1
