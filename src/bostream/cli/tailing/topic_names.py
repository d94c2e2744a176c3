"""Short names of topics, as people type them."""

import difflib
from typing import Final, NamedTuple

from bostream.contract.deadletter import DEAD_LETTER_SUFFIX
from bostream.contract.topics import TopicRole, topics

ALIASES: Final = {"scans": "inventory-scans", "policies": "allocation-policies"}
"""Other names of topics, by what people say."""


class NamedTopic(NamedTuple):
    """A topic of ours.

    Attributes:
        full: its name in Kafka.
        base: its name without prefix and application: ``orders``, ``skus``, ``skus-changelog``, ``orders.dlq``.
        role: what it is for.
    """

    full: str
    base: str
    role: TopicRole


def named_topic(name: str, app: str, prefix: str) -> NamedTopic:
    """Return the topic of a full or short name.

    Raises:
        ValueError: there is none; the message names those that come close.
    """
    known = known_topics(app, prefix)
    stem, dot, letters = name.partition(DEAD_LETTER_SUFFIX)
    wanted = ALIASES.get(stem, stem) + dot + letters
    for topic in known:
        if wanted in (topic.base, topic.full, topic.full.removeprefix(prefix)):
            return topic
    names = [topic.base for topic in known]
    close = difflib.get_close_matches(name, names) or names
    raise ValueError(f"bostream has no topic {name}; there is {', '.join(close)}")


def known_topics(app: str, prefix: str) -> list[NamedTopic]:
    """Return all topics of an application, in the order of the topic table."""
    known = []
    for spec in topics(app, prefix=prefix):
        without_prefix = spec.name.removeprefix(prefix)
        is_public = spec.role in (TopicRole.INPUT, TopicRole.OUTPUT)
        base = without_prefix if is_public else without_prefix.removeprefix(f"{app}-")
        known.append(NamedTopic(spec.name, base, spec.role))
    return known
