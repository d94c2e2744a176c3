"""What is derived from a line and kept in order: its rows in the queue and among the holders, and the head's sums.

What must stay true: for each line the rows are exactly those of :func:`index_of`; only differences are written, so a
change costs the rows that it changes. Part of evolve: nothing else writes.
"""

from typing import NamedTuple

from bostream.domain.keys import pack
from bostream.domain.sku.book import Page
from bostream.domain.sku.rank import locations_of, rank_key, scope_of
from bostream.domain.sku.state import Head, HolderEntry, Lane, Line, QueueEntry, Scope
from bostream.domain.sku.timers import LINE_CLOSED, arm
from bostream.errors import InvariantError


class QueueRow(NamedTuple):
    """One row of the queue: ``need`` 0 takes what is there."""

    scope: str
    need: int
    priority: int
    seniority: int


class HolderRow(NamedTuple):
    """One row of the holders: unpicked units at a location, at the line's worst rank that has any."""

    location: str
    priority: int
    seniority: int


class LineIndex(NamedTuple):
    """All rows of one line, with what the head counts of it; ``claims`` only where they are not the queue's rows."""

    queue: dict[QueueRow, int]
    claims: dict[QueueRow, int]
    holders: tuple[HolderRow, ...]
    waiting: int
    is_open: bool


def index_of(line: Line) -> LineIndex:
    """Return the rows that the line has in the state in which it is."""
    waiting = line.waiting
    return LineIndex(
        _queue_rows(line) if waiting > 0 else {},
        claims_of(line) if line.is_whole and waiting > 0 else {},
        _holder_rows(line) if line.allocated != line.picked else (),
        waiting,
        line.is_open,
    )


def _queue_rows(line: Line) -> dict[QueueRow, int]:
    """One row per waiting entry, or one for the whole line at its worst waiting entry (R9)."""
    scope, priority = scope_of(line.terms.locations), line.terms.priority
    if line.is_whole:
        return {QueueRow(scope, line.waiting, priority, line.entries[-1].seniority): line.waiting}
    return claims_of(line)


def claims_of(line: Line) -> dict[QueueRow, int]:
    """Return what waits at each rank, as if the line were PARTIAL (R17)."""
    scope, priority = scope_of(line.terms.locations), line.terms.priority
    return {QueueRow(scope, 0, priority, entry.seniority): units for entry, units in line.waiting_entries()}


def _holder_rows(line: Line) -> tuple[HolderRow, ...]:
    """One row per location with unpicked units: what the line loses counts against its worst entry that has units."""
    entry, _ = line.entry_before(line.shipped + line.allocated)
    priority, seniority = line.terms.priority, entry.seniority
    return tuple(
        [HolderRow(place.location, priority, seniority) for place in line.places if place.allocated != place.picked]
    )


def settle(page: Page, head: Head, line: Line, before: LineIndex, log_time: int) -> None:
    """Put a changed line and its head, and every row that is derived from the line.

    Raises:
        InvariantError: the line has more units than it ordered (I3).
    """
    if line.waiting < 0:
        raise InvariantError(f"line {line.order_id}/{line.line_id} has more than it ordered: {line}")
    after = index_of(line)
    if before.queue != after.queue:
        _requeue(page, head, line, before.queue, after.queue)
    if before.claims != after.claims:
        _reclaim(page, line, before.claims, after.claims)
    if before.holders != after.holders:
        _rehold(page, line, before.holders, after.holders)
    _count(head, line, before, after, log_time)
    if before.is_open and not after.is_open:
        line.closed_at = log_time
        retention = page.book.rules.closed_retention
        arm(page.book, log_time + retention, LINE_CLOSED, page.sku, line.order_id, line.line_id)
    elif after.is_open:
        line.closed_at = None
    page.book.lines.put(page.prefix + page.tail(line.order_id, line.line_id), line)
    page.book.heads.put(page.prefix, head)


def _count(head: Head, line: Line, before: LineIndex, after: LineIndex, log_time: int) -> None:
    """Bring the head's sums up to date, and since when the line waits."""
    head.waiting += after.waiting - before.waiting
    if after.waiting and not before.waiting:
        head.waiting_lines += 1
        line.waiting_since = log_time
    elif before.waiting and not after.waiting:
        head.waiting_lines -= 1
        line.waiting_since = None


def _requeue(page: Page, head: Head, line: Line, before: dict[QueueRow, int], after: dict[QueueRow, int]) -> None:
    """Write the difference between two sets of queue rows of a line."""
    for row, units in before.items():
        if row not in after:
            page.book.queue.delete(_queue_key(page, line, row))
            _change_lane(page, head, row, -1, -units)
    for row, units in after.items():
        known = before.get(row)
        if known != units:
            entry = QueueEntry(line.order_id, line.line_id, row.seniority, units)
            page.book.queue.put(_queue_key(page, line, row), entry)
            if known is None:
                _change_lane(page, head, row, 1, units)
            else:
                head.scopes[row.scope].units += units - known


def _reclaim(page: Page, line: Line, before: dict[QueueRow, int], after: dict[QueueRow, int]) -> None:
    """Write the difference between two sets of claims of a line."""
    for row in before:
        if row not in after:
            page.book.claims.delete(_claim_key(page, line, row))
    for row, units in after.items():
        if before.get(row) != units:
            page.book.claims.put(
                _claim_key(page, line, row), QueueEntry(line.order_id, line.line_id, row.seniority, units)
            )


def _claim_key(page: Page, line: Line, row: QueueRow) -> bytes:
    tail = page.tail(line.order_id, line.line_id)
    return page.prefix + pack(row.scope) + rank_key(row.priority, row.seniority, tail)


def _queue_key(page: Page, line: Line, row: QueueRow) -> bytes:
    tail = page.tail(line.order_id, line.line_id)
    return page.lane_prefix(row.scope, row.need) + rank_key(row.priority, row.seniority, tail)


def _change_lane(page: Page, head: Head, row: QueueRow, rows: int, units: int) -> None:
    """Count a row in or out of its lane and scope; a lane or scope without rows is gone."""
    scope = head.scopes.get(row.scope)
    if scope is None:
        scope = head.scopes[row.scope] = Scope(locations_of(row.scope))
    scope.units += units
    if row.need:
        scope.complete += rows
        key = page.lane_prefix(row.scope, row.need)
        lane = page.book.lanes.get(key) or Lane()
        lane.rows += rows
        if lane.rows:
            page.book.lanes.put(key, lane)
        else:
            page.book.lanes.delete(key)
    else:
        scope.partial += rows
    if not scope.partial and not scope.complete:
        del head.scopes[row.scope]


def _rehold(page: Page, line: Line, before: tuple[HolderRow, ...], after: tuple[HolderRow, ...]) -> None:
    """Write the difference between two sets of holder rows of a line."""
    for row in before:
        if row not in after:
            page.book.holders.delete(_holder_key(page, line, row))
    for row in after:
        if row not in before:
            page.book.holders.put(_holder_key(page, line, row), HolderEntry(line.order_id, line.line_id))


def _holder_key(page: Page, line: Line, row: HolderRow) -> bytes:
    return page.stock_key(row.location) + rank_key(row.priority, row.seniority, page.tail(line.order_id, line.line_id))
