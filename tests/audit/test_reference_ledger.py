"""What the ledger keeps beside the lines must be what the lines themselves say, after every event of a history."""

from collections import defaultdict

from hypothesis import given

from tests.domain.properties.histories import SKUS, Step, steps
from tests.domain.properties.subject import ReferenceSubject
from tests.domain.properties.test_books import PROFILE, run, written


@PROFILE
@given(steps(waits=True))
def test_the_sums_and_the_queue_are_those_of_the_lines(taken: list[Step]) -> None:
    subject = ReferenceSubject()
    for number, _, _ in run(subject, written(taken)):
        for sku in SKUS:
            ledger = subject.book(sku).ledger
            lines = ledger.lines.values()
            allocated: dict[str, int] = defaultdict(int)
            picked: dict[str, int] = defaultdict(int)
            for line in lines:
                for location, units in line.allocated.items():
                    allocated[location] += units
                    picked[location] += line.picked.get(location, 0)
            for location, stock in ledger.stock.items():
                assert (allocated[location], picked[location]) == (stock.allocated, stock.picked), f"event {number}"
            assert sorted(turn for line in lines for turn in line.turns()) == ledger.queue, f"event {number}"
            assert {line.key for line in lines if line.is_closed} == set(ledger.closed_at), f"event {number}"
