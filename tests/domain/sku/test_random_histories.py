"""Long random histories: after each event every index says what the lines say (the check is in the harness)."""

import random

import msgspec
import pytest

from bostream.domain.sku.book import Rules
from bostream.domain.sku.events import LineDemand, ScanType, ShipPolicy, Terms
from bostream.domain.sku.outcomes import UnitsAllocated
from tests.domain.sku.harness import DAY, HOUR, PUBLISHED, SKU, Story
from tests.domain.sku.written import WrittenState

LOCATIONS = ("W1", "W2", "W3")
LISTS = ((), (), (), ("W1",), ("W2", "W1"), ("W1", "W2"), ("W3", "W2"))
LINE_SCANS = (ScanType.PICKED, ScanType.UNPICKED, ScanType.SHIPPED, ScanType.SHORTED)


def random_event(story: Story, random_: random.Random) -> list[object]:
    """Let something happen to one of a few orders, so that histories meet."""
    order = f"O{random_.randrange(8)}"
    quantity = random_.randint(1, 5)
    location = random_.choice(LOCATIONS)
    at = random_.randrange(6) * HOUR
    choice = random_.random()
    if choice < 0.25:
        policy = random_.choice((ShipPolicy.PARTIAL, ShipPolicy.PARTIAL, ShipPolicy.LINE_COMPLETE))
        terms = Terms(1, at, priority=random_.randrange(3), ship_policy=policy, locations=random_.choice(LISTS))
        story.terms.setdefault(order, terms)
        if random_.random() < 0.2:
            story.terms[order] = terms
        lines = [LineDemand(line, add=random_.randint(0, 4), seniority=at) for line in ("1", "2")]
        return list(story.amend(order, *lines))
    if choice < 0.35 and order in story.terms:
        line = random_.choice("12")
        demand = LineDemand(line, cancel=quantity, ends=random_.random() < 0.3, moved=random_.random() < 0.1)
        return list(story.amend(order, demand))
    if choice < 0.6:
        asn = (f"N{random_.randrange(3)}", random_.choice("12")) if random_.random() < 0.5 else None
        return list(story.receive(quantity, location, asn))
    if choice < 0.7:
        stated = {line: random_.randint(0, 6) for line in "12" if random_.random() < 0.8}
        return list(
            story.asn(
                f"N{random_.randrange(3)}",
                stated,
                eta=random_.randrange(5) * DAY,
                location=location,
                closed=random_.random() < 0.2,
            )
        )
    if choice < 0.9:
        return list(
            story.scan(random_.choice(LINE_SCANS), quantity, order, location=location, line=random_.choice("12"))
        )
    if choice < 0.95:
        expected = random_.choice((None, random_.randint(0, 6)))
        return list(story.scan(ScanType.COUNTED, random_.randint(0, 6), location=location, expected=expected))
    kinds = (
        ScanType.QUARANTINED,
        ScanType.UNQUARANTINED,
        ScanType.TRANSFERRED_OUT,
        ScanType.TRANSFERRED_IN,
        ScanType.RETURNED,
    )
    if random_.random() < 0.3:
        return list(story.scan(ScanType.ADJUSTED, random_.choice((-3, -1, 2)), location=location))
    return list(story.scan(random_.choice(kinds), quantity, location=location))


@pytest.mark.parametrize("seed", range(8))
def test_every_row_of_the_book_agrees_with_its_lines_after_each_event(seed: int) -> None:
    random_ = random.Random(seed)
    story = Story(Rules(duplicate_horizon=2 * HOUR, closed_retention=3 * HOUR))
    published = 0
    ahead = 0
    for _ in range(150):
        outcomes = random_event(story, random_)
        published += sum(isinstance(outcome, PUBLISHED) for outcome in outcomes)
        ahead += sum(outcome.units_ahead for outcome in outcomes if isinstance(outcome, UnitsAllocated))
        if random_.random() < 0.05:
            story.pass_time(random_.randrange(4) * HOUR)
    assert published == story.book.sequence(SKU)
    assert published > 50
    assert ahead > 0


@pytest.mark.parametrize("seed", range(100, 104))
def test_what_a_book_changes_it_puts(seed: int) -> None:
    rules = Rules(duplicate_horizon=2 * HOUR, closed_retention=3 * HOUR)
    kept, written = Story(rules), Story(rules, state=WrittenState())
    one, other = random.Random(seed), random.Random(seed)
    for _ in range(120):
        assert random_event(kept, one) == random_event(written, other)
        if (one.random(), other.random())[0] < 0.05:
            assert kept.pass_time(HOUR) == written.pass_time(HOUR)
    encoded = {place: msgspec.msgpack.encode(row) for place, row in kept.state.rows().items()}
    assert encoded == written.state.rows()
