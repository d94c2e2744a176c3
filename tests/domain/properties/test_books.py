"""The invariants of the rules on random histories, of the real books and of the reference allocator."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, note, settings

from bostream.audit.reference_line import LineTotals, Turn
from bostream.audit.reference_movement import Movement, MovementType
from bostream.domain.sku.events import DemandChanged, ScanType, ShipPolicy, SkuEvent, StockScanned
from bostream.domain.sku.outcomes import Reason
from tests.domain.properties.histories import (
    LINES,
    LOCATIONS,
    OF_A_LINE,
    ORDERS,
    SKUS,
    Moment,
    Step,
    history_of,
    steps,
    told,
)
from tests.domain.properties.mirror import Mirror
from tests.domain.properties.subject import BookSubject, ReferenceSubject, Subject

IS_THOROUGH = os.environ.get("BOSTREAM_PROPERTIES") == "thorough"
"""Set the variable for a long search."""

PROFILE = settings(
    max_examples=5_000 if IS_THOROUGH else 50,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

SEARCH = settings(PROFILE, max_examples=5_000 if IS_THOROUGH else 150)
"""For the property that implies most of the others for the books."""

SUBJECTS = pytest.mark.parametrize("make", [BookSubject, ReferenceSubject])

EVERYWHERE = [(sku, location) for sku in SKUS for location in LOCATIONS]
EVERY_LINE = [(sku, order, line) for sku in SKUS for order in ORDERS for line in LINES]

SHORTAGES = (Reason.COUNT_SHORTAGE, Reason.PICK_SHORTAGE, Reason.QUARANTINE, Reason.TRANSFER)


def written(taken: list[Step]) -> list[Moment]:
    """Return the history of these steps; Hypothesis prints it when a property fails."""
    history = history_of(taken)
    note(told(history))
    return history


def run(subject: Subject, history: list[Moment]) -> Iterator[tuple[int, SkuEvent, list[Movement]]]:
    """Tell the subject one event after the other; yield each with its number and facts, before the next is told."""
    for number, (log_time, event) in enumerate(history):
        yield number, event, subject.apply(event, log_time)


def without_repeats(history: list[Moment]) -> list[bool]:
    """Return for each event whether it takes effect: it is no scan that was seen before."""
    seen: set[str] = set()
    counts = []
    for _, event in history:
        is_repeat = isinstance(event, StockScanned) and event.cause.event_id in seen
        counts.append(not is_repeat)
        seen.add(event.cause.event_id)
    return counts


# --- I1


@SUBJECTS
@PROFILE
@given(steps(waits=True))
def test_on_hand_is_what_came_less_what_left(make: Callable[[], Subject], taken: list[Step]) -> None:
    history = written(taken)
    subject = make()
    counts = without_repeats(history)
    on_hand: dict[tuple[str, str], int] = defaultdict(int)
    quarantined: dict[tuple[str, str], int] = defaultdict(int)
    for number, event, _ in run(subject, history):
        if isinstance(event, StockScanned) and counts[number]:
            place = event.sku, event.location
            on_hand[place] += came(event, on_hand[place])
            if event.type is ScanType.QUARANTINED:
                quarantined[place] += event.quantity
            elif event.type is ScanType.UNQUARANTINED:
                quarantined[place] = max(0, quarantined[place] - event.quantity)
        for place in EVERYWHERE:
            stock = subject.stock(*place)
            assert (on_hand[place], quarantined[place]) == (stock.on_hand, stock.quarantined), f"event {number}"


def came(scan: StockScanned, on_hand: int) -> int:
    """Return by how much a scan changes on hand, as the contract's table says."""
    if scan.type is ScanType.COUNTED:
        return scan.quantity - (on_hand if scan.expected_quantity is None else scan.expected_quantity)
    signs = {
        ScanType.RECEIVED: 1,
        ScanType.ADJUSTED: 1,
        ScanType.PICKED: 0,
        ScanType.UNPICKED: 0,
        ScanType.SHIPPED: -1,
        ScanType.SHORTED: -1,
        ScanType.RETURNED: 1,
        ScanType.QUARANTINED: -1,
        ScanType.UNQUARANTINED: 1,
        ScanType.TRANSFERRED_OUT: -1,
        ScanType.TRANSFERRED_IN: 1,
    }
    return signs[scan.type] * scan.quantity


# --- I2, I3, I11


@SUBJECTS
@PROFILE
@given(steps(waits=False))
def test_the_facts_add_up_to_what_stands(make: Callable[[], Subject], taken: list[Step]) -> None:
    history = written(taken)
    subject = make()
    mirrors = {sku: Mirror(sku) for sku in SKUS}
    sequences = dict.fromkeys(SKUS, 0)
    for number, event, facts in run(subject, history):
        mirror = mirrors[event.sku]
        mirror.expect(event, subject)
        for fact in facts:
            sequences[event.sku] += 1
            assert sequences[event.sku] == fact.sku_sequence, f"event {number}"
            assert fact.quantity > 0
            mirror.note(fact)
            check_after_fields(mirror, fact, number)
        mirror.settle()
        check_what_stands(mirror, subject, number)


def check_after_fields(mirror: Mirror, fact: Movement, number: int) -> None:
    line = mirror.lines[fact.order_id, fact.line_id]
    told_after = fact.totals
    assert_balance(told_after, number)
    added_up = (line.allocated_total, line.picked_total, line.shipped, line.cancelled)
    assert added_up == (told_after.allocated, told_after.picked, told_after.shipped, told_after.cancelled), (
        f"event {number}: {fact}"
    )
    if fact.location:
        free = fact.on_hand_after - mirror.allocated()[fact.location]
        assert max(0, free) == fact.available_after, f"event {number}: {fact}"
    else:
        assert (0, 0) == (fact.on_hand_after, fact.available_after)


def assert_balance(totals: LineTotals, number: int) -> None:
    parts = totals.allocated + totals.shipped + totals.cancelled + totals.waiting
    assert totals.ordered == parts, f"event {number}: {totals}"
    assert min(totals.allocated, totals.picked, totals.shipped, totals.cancelled, totals.waiting) >= 0
    assert totals.picked <= totals.allocated


def check_what_stands(mirror: Mirror, subject: Subject, number: int) -> None:
    for key, line in mirror.lines.items():
        assert line.totals() == subject.line(mirror.sku, *key), f"event {number}: line {key}"
        for location, units in line.allocated.items():
            assert 0 <= line.picked.get(location, 0) <= units, f"event {number}: line {key} at {location}"
    allocated, picked = mirror.allocated(), mirror.picked()
    for location in LOCATIONS:
        stock = subject.stock(mirror.sku, location)
        assert (allocated[location], picked[location]) == (stock.allocated, stock.picked), f"event {number}"
        assert stock.allocated <= max(stock.on_hand, 0) + stock.deficit
        assert max(0, stock.allocated - stock.on_hand) == stock.deficit
        waits = sum(line.waiting for line in mirror.lines.values() if line.allows(location))
        assert waits == stock.waiting, f"event {number} at {location}"


# --- I4, I5, I7


@SUBJECTS
@PROFILE
@given(steps(waits=False))
def test_no_unit_passes_a_better_line_that_could_take_it(make: Callable[[], Subject], taken: list[Step]) -> None:
    history = written(taken)
    subject = make()
    mirrors = {sku: Mirror(sku) for sku in SKUS}
    for number, event, facts in run(subject, history):
        mirror = mirrors[event.sku]
        mirror.expect(event, subject)
        if mirror.is_blurred:
            return
        for fact in facts:
            if fact.type is MovementType.ALLOCATED and fact.reason is not Reason.SCANNED:
                mirror.settle()
                check_turn(mirror, subject, fact, number)
            mirror.note(fact)
        mirror.settle()


def check_turn(mirror: Mirror, subject: Subject, fact: Movement, number: int) -> None:
    """I4: nobody of better rank, to whom this location is allowed, could have taken something of this unit."""
    served = mirror.lines[fact.order_id, fact.line_id]
    assert served.allows(fact.location), f"event {number}: {fact}"
    free = free_stock(mirror, subject)
    assert fact.quantity <= free[fact.location], f"event {number}: {fact}"
    for line in mirror.lines.values():
        for turn in line.turns():
            if line is not served and turn.rank < served.turns()[0].rank and line.allows(fact.location):
                assert not could_take(mirror, turn, free), f"event {number}: {fact} passes {turn}"


def free_stock(mirror: Mirror, subject: Subject) -> dict[str, int]:
    """Return what is free while the queue is being served: on hand has its last value of this event then."""
    allocated = mirror.allocated()
    return {at: subject.stock(mirror.sku, at).on_hand - allocated[at] for at in LOCATIONS}


def could_take(mirror: Mirror, turn: Turn, free: dict[str, int]) -> bool:
    line = mirror.lines[turn.key]
    reachable = sum(max(0, units) for location, units in free.items() if line.allows(location))
    return reachable >= (turn.units if turn.whole else 1)


@SUBJECTS
@PROFILE
@given(steps(waits=False))
def test_no_stock_lies_free_while_somebody_waits_for_it(make: Callable[[], Subject], taken: list[Step]) -> None:
    history = written(taken)
    subject = make()
    mirrors = {sku: Mirror(sku) for sku in SKUS}
    for number, event, _ in run(subject, history):
        mirror = mirrors[event.sku]
        mirror.expect(event, subject)
        free = {at: subject.stock(event.sku, at) for at in LOCATIONS}
        for key, line in mirror.lines.items():
            totals = subject.line(event.sku, *key)
            waiting = 0 if totals is None else totals.waiting
            reach = sum(max(0, at.on_hand - at.allocated) for place, at in free.items() if line.allows(place))
            needs = 1 if line.terms.ship_policy is ShipPolicy.PARTIAL else waiting
            assert waiting == 0 or reach < needs, f"event {number}: {key} waits for {waiting}, {reach} are free"


@SUBJECTS
@PROFILE
@given(steps(waits=False))
def test_a_shortage_takes_the_difference_from_the_worst(make: Callable[[], Subject], taken: list[Step]) -> None:
    history = written(taken)
    subject = make()
    mirrors = {sku: Mirror(sku) for sku in SKUS}
    for number, event, facts in run(subject, history):
        mirror = mirrors[event.sku]
        mirror.expect(event, subject)
        if mirror.is_blurred:
            return
        for fact in facts:
            if is_taken_back(event, fact):
                mirror.settle()
                check_victim(mirror, fact, number)
            mirror.note(fact)
        mirror.settle()
        for location in LOCATIONS:
            stock = subject.stock(event.sku, location)
            assert stock.deficit == 0 or stock.picked == stock.allocated, f"event {number}: not all was taken back"


def is_taken_back(event: SkuEvent, fact: Movement) -> bool:
    """Whether units were taken for a shortage; what a SHORTED scan's own line loses, also later (R15), is none."""
    if isinstance(event, StockScanned):
        is_own = event.type is ScanType.SHORTED and (event.order_id, event.line_id) == (fact.order_id, fact.line_id)
    else:
        is_own = isinstance(event, DemandChanged) and event.order_id == fact.order_id
    return fact.type is MovementType.DEALLOCATED and fact.reason in SHORTAGES and not is_own


def check_victim(mirror: Mirror, fact: Movement, number: int) -> None:
    """I7: no more than is missing, and nobody of worse rank has unpicked units there."""
    missing = mirror.allocated()[fact.location] - fact.on_hand_after
    assert fact.quantity <= missing, f"event {number}: {fact} takes more than the {missing} that are missing"
    loser = mirror.lines[fact.order_id, fact.line_id]
    rank = loser.rank(loser.worst_filled_entry()[0])
    for line in mirror.lines.values():
        if line.unpicked(fact.location) > 0:
            other = line.rank(line.worst_filled_entry()[0])
            assert other <= rank, f"event {number}: {fact} spares {other}"


# --- I8, I9


@SUBJECTS
@PROFILE
@given(steps(waits=False))
def test_a_repeated_scan_changes_nothing_and_says_nothing(make: Callable[[], Subject], taken: list[Step]) -> None:
    history = written(taken)
    subject = make()
    scans: list[StockScanned] = []
    for number, event, _ in run(subject, history):
        if not isinstance(event, StockScanned):
            continue
        scans.append(event)
        before = subject.everything()
        for scan in scans[-6:]:
            assert [] == subject.apply(scan, history[number][0])
            assert 0 == subject.said()
        assert before == subject.everything(), f"event {number}"


@PROFILE
@given(steps(waits=True))
def test_books_that_were_written_down_and_read_back_go_on_as_if_nothing_happened(taken: list[Step]) -> None:
    history = written(taken)
    steady, restarted = BookSubject(), BookSubject()
    for number, event, facts in run(steady, history):
        assert facts == restarted.apply(event, history[number][0]), f"event {number}"
        restarted.reload()
        assert steady.everything() == restarted.everything(), f"event {number}"


# --- I10


@SEARCH
@given(steps(waits=True))
def test_the_books_agree_with_the_reference_allocator(taken: list[Step]) -> None:
    history = written(taken)
    books, reference = BookSubject(), ReferenceSubject()
    for number, event, facts in run(books, history):
        assert reference.apply(event, history[number][0]) == facts, f"event {number}"
        for place in EVERYWHERE:
            assert reference.stock(*place) == books.stock(*place), f"event {number} at {place}"
        for line in EVERY_LINE:
            assert reference.line(*line) == books.line(*line), f"event {number}, line {line}"
            assert reference.eta(*line) == books.eta(*line), f"event {number}, line {line}"


# --- the histories themselves


@PROFILE
@given(steps(waits=False))
def test_histories_can_be_read_aloud(taken: list[Step]) -> None:
    history = written(taken)
    assert len(history) == len(told(history).splitlines())
    for _, event in history:
        if isinstance(event, StockScanned) and event.type in OF_A_LINE:
            assert event.order_id is not None
