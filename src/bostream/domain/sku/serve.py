"""Who gets free units: the queue, served in rank order (R3, R4, R8, R9). Reads only.

What must stay true: a unit never goes to an entry while a better-ranked eligible one could take it (I4), and nobody
eligible waits beside free stock (I5). The queue is cut into lanes by (scope, units needed at once). Free stock only
falls while it is handed out, so a lane that it no longer serves stays closed; the cost is the rows served, never the
rows passed over, except that these are counted once for ``units_ahead`` where there are several lanes.
"""

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush, heapreplace

from bostream.domain.sku.book import Page
from bostream.domain.sku.outcomes import Outcome, Reason, UnitsAllocated
from bostream.domain.sku.places import drawing_order
from bostream.domain.sku.rank import rank_text
from bostream.domain.sku.state import QueueEntry, Scope
from bostream.errors import InvariantError

ReasonOf = Callable[[str, str], Reason]
"""Why the line of this order id and line id gets units now."""


class _Lane:
    """A lane as it is being read: its first row not yet served or passed, and how many units of it still wait."""

    __slots__ = ("entry", "least", "need", "rank", "rest", "rows", "scope")

    def __init__(self, page: Page, name: str, scope: Scope, need: int) -> None:
        self.scope = scope
        self.need = need
        self.least = need or 1
        self.rows = page.queue_rows(page.lane_prefix(name, need))
        self.rank = b""
        self.entry: QueueEntry
        self.rest = 0

    def begin(self) -> None:
        """Go to the first row; a lane that is counted has one."""
        if not self.advance():
            raise InvariantError(f"a lane of {self.scope} that needs {self.need} has no rows")

    def advance(self) -> bool:
        """Go to the next row; False at the end."""
        row = next(self.rows, None)
        if row is None:
            return False
        self.rank, self.entry = row
        self.rest = self.entry.units
        return True

    def available(self, free: dict[str, int]) -> int:
        """Return the free units that this lane may take."""
        if not self.scope.locations:
            return sum(free.values())
        return sum(free.get(location, 0) for location in self.scope.locations)


class _PassedOver:
    """Lanes that free stock does not serve, read up to the rank that is being served."""

    __slots__ = ("_heap", "_lanes", "_units", "_unread")

    def __init__(self, unread: list[_Lane]) -> None:
        self._unread = unread
        self._lanes: list[_Lane] = []
        self._heap: list[tuple[bytes, int]] = []
        self._units = 0

    def add(self, lane: _Lane) -> None:
        """Pass over a lane from its present row on."""
        self._lanes.append(lane)
        heappush(self._heap, (lane.rank, len(self._lanes) - 1))

    def units_before(self, rank: bytes) -> int:
        """Return the units that wait in these lanes at better ranks; ranks must not fall from call to call."""
        while self._unread:
            lane = self._unread.pop()
            lane.begin()
            self.add(lane)
        heap = self._heap
        while heap and heap[0][0] < rank:
            at = heap[0][1]
            lane = self._lanes[at]
            self._units += lane.rest
            if lane.advance():
                heapreplace(heap, (lane.rank, at))
            else:
                heappop(heap)
        return self._units


def decide_service(page: Page, reason_of: ReasonOf) -> list[Outcome]:
    """Return who gets the units that are free now."""
    head = page.head
    if not head.waiting:
        return []
    free = head.free_stock()
    if not free:
        return []
    lanes: list[_Lane] = []
    heap: list[tuple[bytes, int]] = []
    unread: list[_Lane] = []
    for lane in _lanes(page, head.scopes):
        if lane.available(free) < lane.least:
            unread.append(lane)
        else:
            lane.begin()
            heap.append((lane.rank, len(lanes)))
            lanes.append(lane)
    heapify(heap)
    passed = _PassedOver(unread)

    # From here on the event succeeds.
    outcomes: list[Outcome] = []
    while heap:
        rank, at = heap[0]
        lane = lanes[at]
        if lane.available(free) < lane.least:
            heappop(heap)
            passed.add(lane)
            continue
        outcomes += _serve(page, lane, free, reason_of, passed.units_before(rank))
        if not free:
            break
        if not lane.rest:
            if lane.advance():
                heapreplace(heap, (lane.rank, at))
            else:
                heappop(heap)
    return outcomes


def _lanes(page: Page, scopes: dict[str, Scope]) -> Iterator[_Lane]:
    """Yield all lanes in an order that does not depend on history."""
    for name in sorted(scopes):
        scope = scopes[name]
        if scope.partial:
            yield _Lane(page, name, scope, 0)
        if scope.complete:
            for need in page.needs(name):
                yield _Lane(page, name, scope, need)


def _serve(page: Page, lane: _Lane, free: dict[str, int], reason_of: ReasonOf, units_ahead: int) -> list[Outcome]:
    """Give units to the entry whose turn it is, from its locations in order (R8), and take them out of ``free``."""
    entry = lane.entry
    line = page.known_line(entry.order_id, entry.line_id)
    rank = rank_text(line, entry.seniority)
    reason = reason_of(entry.order_id, entry.line_id)
    outcomes: list[Outcome] = []
    for location in drawing_order(line.terms.locations, free):
        taken = min(lane.rest, free[location])
        if not taken:
            break
        outcomes.append(UnitsAllocated(entry.order_id, entry.line_id, location, taken, reason, rank, units_ahead))
        lane.rest -= taken
        if taken == free[location]:
            del free[location]
        else:
            free[location] -= taken
    return outcomes
