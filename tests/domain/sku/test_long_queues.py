"""Long queues, several scopes, many ASN lines: what is promised after each event is what a walk over everything gives.

The walk is in the check that the harness makes after each event.
"""

import random

import pytest

from bostream.domain.sku.book import Rules
from bostream.domain.sku.events import LineDemand, ScanType, ShipPolicy, Terms
from bostream.domain.sku.outcomes import EtaMoved, Outcome
from tests.domain.sku.harness import DAY, HOUR, Story

LOCATIONS = ("W1", "W2", "W3")
SCOPES = ((), ("W1",), ("W2", "W1"), ("W1", "W2"), ("W3",), ("W3", "W2"))
ASNS = 10
ORDERS = 110


def a_long_queue(random_: random.Random, whole_share: float) -> Story:
    """Return a book on which many lines wait, with many ASN lines that cover some of them."""
    story = Story(Rules())
    for number in range(ORDERS):
        place(story, random_, f"O{number}", whole_share)
    for number in range(ASNS):
        announce(story, random_, f"N{number}")
    return story


def place(story: Story, random_: random.Random, order: str, whole_share: float) -> list[Outcome]:
    policy = ShipPolicy.LINE_COMPLETE if random_.random() < whole_share else ShipPolicy.PARTIAL
    terms = Terms(
        1,
        random_.randrange(12) * HOUR,
        priority=random_.randrange(3),
        ship_policy=policy,
        locations=random_.choice(SCOPES),
    )
    story.terms[order] = terms
    return story.amend(order, LineDemand("1", add=random_.randint(1, 4), seniority=terms.accepted_at))


def announce(story: Story, random_: random.Random, asn: str) -> list[Outcome]:
    stated = {line: random_.randint(0, 20) for line in ("1", "2", "3") if random_.random() < 0.9}
    location = random_.choice(LOCATIONS)
    return story.asn(asn, stated, eta=random_.randrange(6) * DAY, location=location, closed=random_.random() < 0.1)


def anything(story: Story, random_: random.Random, whole_share: float) -> list[Outcome]:
    """Let something happen."""
    order = f"O{random_.randrange(ORDERS)}"
    location = random_.choice(LOCATIONS)
    asn = (f"N{random_.randrange(ASNS)}", random_.choice("123"))
    terms = story.terms[order]
    choice = random_.randrange(15)
    if choice < 2:
        return place(story, random_, f"P{story.events}", whole_share)
    if choice < 4:
        return story.amend(order, LineDemand("1", cancel=random_.randint(1, 3), ends=random_.random() < 0.3))
    if choice == 4:
        return story.more(order, random_.randint(1, 4), at=random_.choice((terms.accepted_at, story.now)))
    if choice == 5:
        return place(story, random_, order, whole_share)
    if choice < 8:
        return story.receive(random_.randint(1, 6), location, asn)
    if choice == 8:
        return story.receive(random_.randint(1, 6), location)
    if choice < 11:
        return announce(story, random_, asn[0])
    if choice == 11:
        return story.scan(ScanType.SHIPPED, random_.randint(1, 3), order, location=location)
    if choice == 12:
        return story.scan(ScanType.PICKED, random_.randint(1, 3), order, location=location)
    if choice == 13:
        return story.scan(ScanType.COUNTED, random_.randint(0, 3), location=location)
    return story.scan(ScanType.ADJUSTED, random_.choice((-4, -1, 2)), location=location)


@pytest.mark.parametrize("whole_share", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_promised_is_what_a_walk_over_everything_gives(seed: int, whole_share: float) -> None:
    random_ = random.Random(seed)
    story = a_long_queue(random_, whole_share)
    moved = 0
    for _ in range(60):
        moved += sum(isinstance(outcome, EtaMoved) for outcome in anything(story, random_, whole_share))
    assert moved > 60
