"""Short names of topics."""

import pytest

from bostream.cli.tailing.topic_names import known_topics, named_topic
from bostream.contract.topics import TopicRole, topics


@pytest.mark.parametrize(
    ("name", "full", "base", "role"),
    [
        ("orders", "p.orders", "orders", TopicRole.INPUT),
        ("scans", "p.inventory-scans", "inventory-scans", TopicRole.INPUT),
        ("policies", "p.allocation-policies", "allocation-policies", TopicRole.INPUT),
        ("scans.dlq", "p.inventory-scans.dlq", "inventory-scans.dlq", TopicRole.DEAD_LETTERS),
        ("p.allocations", "p.allocations", "allocations", TopicRole.OUTPUT),
        ("skus", "p.shop-skus", "skus", TopicRole.INTERNAL_LOG),
        ("shop-skus", "p.shop-skus", "skus", TopicRole.INTERNAL_LOG),
        ("p.shop-skus.dlq", "p.shop-skus.dlq", "skus.dlq", TopicRole.DEAD_LETTERS),
        ("documents-changelog", "p.shop-documents-changelog", "documents-changelog", TopicRole.CHANGELOG),
    ],
)
def test_full_and_short_names_lead_to_the_topic(name: str, full: str, base: str, role: TopicRole) -> None:
    assert (full, base, role) == named_topic(name, "shop", "p.")


def test_every_topic_of_the_table_has_a_short_name_of_its_own() -> None:
    known = known_topics("shop", "p.")

    assert [spec.name for spec in topics("shop", prefix="p.")] == [topic.full for topic in known]
    assert len(known) == len({topic.base for topic in known})
    assert all(named_topic(topic.base, "shop", "p.") == topic for topic in known)


def test_an_unknown_name_is_refused_with_those_that_come_close() -> None:
    with pytest.raises(ValueError, match=r"bostream has no topic alocations; there is allocations"):
        named_topic("alocations", "shop", "")
