"""Whether a SKU book's rows say what its lines and ASN lines say, derived by other means than the book does.

What must stay true: nothing here uses the book's own derivations, only its tables, so that both can be wrong together
only by chance.
"""

from collections import Counter

from bostream.domain.keys import pack, unpack
from bostream.domain.sku.state import (
    CLAIMS,
    COVERS,
    HEADS,
    HOLDERS,
    INBOUND,
    INBOUND_ETAS,
    LANES,
    LINES,
    PARKED,
    QUEUE,
    STOCK,
    Line,
)
from bostream.testing.memory import MemoryState
from tests.domain.sku.promised import promised_from_scratch


def check_book(state: MemoryState, sku: str) -> None:
    """Check one SKU's rows against each other (I2, I3, I5 among them)."""
    lines = [line for _, line in state.table(LINES).scan(pack(sku))]
    for line in lines:
        check_line(line)
    _check_queue(state, sku, lines)
    _check_holders(state, sku, lines)
    _check_stock(state, sku, lines)
    _check_supply(state, sku)
    _check_promises(state, sku, lines)
    _check_conservation(state, sku, lines)


def _check_queue(state: MemoryState, sku: str, lines: list[Line]) -> None:
    expected = {}
    for line in lines:
        for seniority, units in waits_by_seniority(line).items():
            locations = tuple(sorted(set(line.terms.locations)))
            rank = (line.terms.priority, seniority, line.order_id, line.line_id)
            expected[locations, line.waiting if line.is_whole else 0, rank] = units
    actual = {}
    head = state.table(HEADS).get(pack(sku))
    scopes = head.scopes if head else {}
    for key, row in state.table(QUEUE).scan(pack(sku)):
        _, name, need, *parts = unpack(key)
        actual[scopes[str(name)].locations, need, tuple(parts)] = row.units
        assert (row.order_id, row.line_id, row.seniority) == (parts[2], parts[3], parts[1])
    assert expected == actual
    assert sum(line.waiting for line in lines) == (head.waiting if head else 0)
    assert sum(line.waiting > 0 for line in lines) == (head.waiting_lines if head else 0)
    assert sum(line.eta is not None for line in lines) == (head.promised_lines if head else 0)
    by_scope: Counter[tuple[str, ...]] = Counter()
    lanes: Counter[tuple[tuple[str, ...], int]] = Counter()
    for (locations, need, _), units in expected.items():
        by_scope[locations] += units
        lanes[locations, need] += 1
    assert dict(by_scope) == {scope.locations: scope.units for scope in scopes.values()}
    for scope in scopes.values():
        assert lanes[scope.locations, 0] == scope.partial
        assert scope.complete == sum(
            rows for (locations, need), rows in lanes.items() if locations == scope.locations and need
        )
    stored = {}
    for key, lane in state.table(LANES).scan(pack(sku)):
        _, name, need = unpack(key)
        stored[scopes[str(name)].locations, need] = lane.rows
    assert {lane: rows for lane, rows in lanes.items() if lane[1]} == stored


def _check_holders(state: MemoryState, sku: str, lines: list[Line]) -> None:
    expected = set()
    for line in lines:
        seniority = worst_seniority_held(line)
        for place in line.places:
            if place.allocated > place.picked:
                expected.add((place.location, line.terms.priority, seniority, line.order_id, line.line_id))
    actual = set()
    for key, row in state.table(HOLDERS).scan(pack(sku)):
        actual.add(unpack(key)[1:])
        assert (row.order_id, row.line_id) == unpack(key)[4:]
    assert expected == actual


def _check_stock(state: MemoryState, sku: str, lines: list[Line]) -> None:
    head = state.table(HEADS).get(pack(sku))
    free = {}
    allocated: Counter[str] = Counter()
    picked: Counter[str] = Counter()
    for line in lines:
        for place in line.places:
            allocated[place.location] += place.allocated
            picked[place.location] += place.picked
    for key, stock in state.table(STOCK).scan(pack(sku)):
        location = unpack(key)[1]
        assert isinstance(location, str)
        assert stock.allocated == allocated.pop(location, 0)
        assert stock.picked == picked.pop(location, 0)
        assert stock.quarantined >= 0
        if stock.on_hand != stock.allocated:
            free[location] = stock.on_hand - stock.allocated
        # A deficit stands only for picked or missing units, and has been told (R13).
        deficit = max(0, stock.allocated - stock.on_hand)
        assert deficit == 0 or stock.allocated == stock.picked
        assert stock.is_shortage_told == (deficit > 0)
    assert not +allocated
    assert not +picked
    assert free == (head.free if head else {})


def _check_supply(state: MemoryState, sku: str) -> None:
    expected = set()
    inbound: Counter[str] = Counter()
    for _, row in state.table(INBOUND).scan(pack(sku)):
        if row.is_announced and not row.is_closed and row.quantity > row.received:
            units = row.quantity - row.received
            expected.add((row.eta, row.asn_id, row.asn_line_id, row.location, units))
            inbound[row.location] += units
    actual = {
        (row.eta, row.asn_id, row.asn_line_id, row.location, row.units)
        for _, row in state.table(INBOUND_ETAS).scan(pack(sku))
    }
    assert expected == actual
    for key, stock in state.table(STOCK).scan(pack(sku)):
        assert stock.inbound == inbound.pop(str(unpack(key)[1]), 0)
    assert not +inbound
    head = state.table(HEADS).get(pack(sku))
    assert len(expected) == (head.inbound_lines if head else 0)
    parked = sum(1 for _ in state.table(PARKED).scan(pack(sku)))
    assert parked == (head.parked_lines if head else 0)


def _check_promises(state: MemoryState, sku: str, lines: list[Line]) -> None:
    """Check that each ETA is what a walk over everything gives, and what the next event starts from (R17)."""
    claims = {}
    for line in lines:
        for seniority, units in waits_as_partial(line).items():
            rank = (line.terms.priority, seniority, line.order_id, line.line_id)
            if line.is_whole:
                claims[tuple(sorted(set(line.terms.locations))), rank] = units
    stored = {}
    head = state.table(HEADS).get(pack(sku))
    scopes = head.scopes if head else {}
    for key, row in state.table(CLAIMS).scan(pack(sku)):
        _, name, *parts = unpack(key)
        stored[scopes[str(name)].locations, tuple(parts)] = row.units
        assert (row.order_id, row.line_id, row.seniority) == (parts[2], parts[3], parts[1])
    assert claims == stored

    supply = [row for _, row in state.table(INBOUND_ETAS).scan(pack(sku))]
    promised, taken = promised_from_scratch(lines, head.free if head else {}, supply)
    assert promised == {
        (line.order_id, line.line_id): (line.eta, line.eta_source) for line in lines if line.waiting > 0
    }
    covers = dict(state.table(COVERS).scan(pack(sku)))
    assert [pack(sku, row.eta, row.asn_id, row.asn_line_id) for row in supply] == list(covers)
    assert [(row.location, units) for row, units in zip(supply, taken, strict=True)] == [
        (cover.location, cover.taken) for cover in covers.values()
    ]
    assert len(covers) == (head.covers if head else 0)


def _check_conservation(state: MemoryState, sku: str, lines: list[Line]) -> None:
    """Check that nobody eligible waits beside free stock (I5)."""
    head = state.table(HEADS).get(pack(sku))
    free = {location: units for location, units in (head.free if head else {}).items() if units > 0}
    for line in lines:
        allowed = line.terms.locations or tuple(free)
        units = sum(free.get(location, 0) for location in set(allowed))
        if line.waiting and units:
            assert line.is_whole
            assert units < line.waiting


def check_line(line: Line) -> None:
    """Check what must hold for one line by itself (I2, I3)."""
    assert line.ordered == line.allocated + line.shipped + line.cancelled + line.waiting
    assert min(line.ordered, line.allocated, line.picked, line.shipped, line.cancelled, line.waiting) >= 0
    assert line.allocated == sum(place.allocated for place in line.places)
    assert line.picked == sum(place.picked for place in line.places)
    assert all(0 <= place.picked <= place.allocated > 0 for place in line.places)
    assert len({place.location for place in line.places}) == len(line.places)
    assert sum(entry.demand for entry in line.entries) == line.ordered - line.cancelled
    assert [entry.seniority for entry in line.entries] == sorted({entry.seniority for entry in line.entries})
    assert all(entry.demand > 0 for entry in line.entries)
    assert (line.waiting_since is not None) == (line.waiting > 0)
    assert (line.eta is None) == (line.eta_source is None)
    assert line.eta is None or line.waiting
    assert 0 <= line.deferred <= line.picked
    assert not line.deferred or (not line.waiting and line.allocated == line.picked)
    is_open = line.allocated > 0 or line.waiting > 0
    assert is_open == line.is_open
    assert is_open == (line.closed_at is None)


def waits_by_seniority(line: Line) -> dict[int, int]:
    """Return waiting units by seniority as the queue has them."""
    waiting = waits_as_partial(line)
    if line.is_whole and waiting:
        return {max(waiting): line.waiting}
    return waiting


def waits_as_partial(line: Line) -> dict[int, int]:
    """Return waiting units by seniority, found by laying out every unit of the line."""
    units = [entry.seniority for entry in line.entries for _ in range(entry.demand)]
    return dict(Counter(units[len(units) - line.waiting :]))


def worst_seniority_held(line: Line) -> int | None:
    """Return the seniority of the worst unit that is allocated and not picked."""
    units = [entry.seniority for entry in line.entries for _ in range(entry.demand)]
    held = units[line.shipped + line.picked : line.shipped + line.allocated]
    return held[-1] if held else None
