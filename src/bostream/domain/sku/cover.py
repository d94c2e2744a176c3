"""How far supply reaches into the queue (R17), brought up to date by looking only at the units that move. Reads only.

Supply is offered in steps: what is free, then ASN line after ASN line. After each step every entry has units that are
still not covered, and all that a step covered lies before its *frontier*: the entries that allow its location and rank
better are covered to the last unit. So one small row for each ASN line (:class:`Cover`) says it all, however long the
queue is.

An event leaves most entries as they were. :class:`Rest` compares two worlds step by step: the one *before* it, which
the rows of ``COVERS`` describe, and the one *now*. It keeps marks where the two differ. What must stay true after each
step: an entry without a mark has as much left over in both worlds, and for it the covers before say how much. A step
took before what lies before its old frontier; the marks say by how much that is more or less now; so the new frontier
is found by walking from the old one, over what is given up or gained and nothing else.
"""

from collections.abc import Collection, Iterator
from heapq import merge

from bostream.domain.sku.book import Page
from bostream.domain.sku.places import drawing_order
from bostream.domain.sku.rank import locations_of
from bostream.domain.sku.state import Cover

LineId = tuple[str, str]
"""Order id and line id."""

END = b"\xff"
"""Greater than every rank."""


class Mark:
    """An entry, with what is left over of it in both worlds.

    ``is_kept``: its own units changed, or free stock covers some, so the covers alone do not say what was left before.
    """

    __slots__ = ("before", "is_kept", "line", "now", "rank", "scope")

    def __init__(self, scope: str, rank: bytes, line: LineId, before: int, now: int, *, is_kept: bool = False) -> None:
        self.scope = scope
        self.rank = rank
        self.line = line
        self.before = before
        self.now = now
        self.is_kept = is_kept


class Rest:
    """What supply has not covered so far, before and now; see the module."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._scopes = page.head.scopes
        self._locations: dict[str, tuple[str, ...]] = {}
        self._marks: dict[tuple[str, bytes], Mark] = {}
        self._reached: dict[str, tuple[bytes, int]] = {}
        self.moved: dict[LineId, None] = {}

    def admits(self, scope: str, location: str) -> bool:
        """Tell whether entries of a scope allow a location."""
        locations = self._locations.get(scope)
        if locations is None:
            locations = self._locations[scope] = locations_of(scope)
        return not locations or location in locations

    # --- step 0: demand and free stock

    def claim(self, scope: str, rank: bytes, line: LineId, before: int, now: int) -> None:
        """An entry of a line that the event touched waited for so many units, and waits for so many now."""
        self._mark(Mark(scope, rank, line, before, now, is_kept=True))

    def is_same(self) -> bool:
        """Tell whether nothing differs so far."""
        return all(mark.before == mark.now for mark in self._marks.values())

    def offer_free(self, free: dict[str, int], locations: dict[LineId, tuple[str, ...]], *, is_now: bool) -> None:
        """Offer free stock in one of the worlds, entry by entry, each from its places in R8 order.

        Args:
            free: free units by location; used up.
            locations: the allowed locations in order of preference of lines that had others in that world.
            is_now: which world.
        """
        names = {*self._scopes, *(mark.scope for mark in self._marks.values())}
        rank = b""
        while names := {name for name in names if any(self.admits(name, location) for location in free)}:
            # As soon as a location has run out, the entries that were to draw on it alone are out of the question.
            for mark in self._ahead(sorted(names), rank):
                if self._draw(mark, free, locations, is_now=is_now):
                    rank = mark.rank
                    break
            else:
                return

    def _draw(
        self, mark: Mark, free: dict[str, int], locations: dict[LineId, tuple[str, ...]], *, is_now: bool
    ) -> bool:
        """Let an entry have what is free for it; return whether a location ran out."""
        has_run_out = False
        lacks = mark.now if is_now else mark.before
        if not lacks:
            return False
        own = locations.get(mark.line)
        for location in drawing_order(self._page.known_line(*mark.line).terms.locations if own is None else own, free):
            taken = min(lacks, free[location])
            lacks -= taken
            free[location] -= taken
            if not free[location]:
                del free[location]
                has_run_out = True
            if not lacks:
                break
        mark.is_kept = True
        self._mark(mark)
        if is_now:
            mark.now = lacks
        else:
            mark.before = lacks
        return has_run_out

    # --- a step: an ASN line

    def step(self, cover: Cover, units: int) -> Cover:
        """Offer an ASN line's units; return how far it reaches now.

        Args:
            cover: how far it reached before; an empty one when it was not there.
            units: its units now; 0 when it is there no more.
        """
        below, is_stirred = cover.taken - cover.part, False
        for mark in self._marks.values():
            if mark.before != mark.now and mark.rank <= cover.rank and self.admits(mark.scope, cover.location):
                is_stirred = True
                if mark.rank < cover.rank:
                    below += mark.now - mark.before
        if is_stirred or (units != cover.taken if cover.rank != END else units < cover.taken):
            moved = self._gain(cover, units, below) if below <= units else self._give_up(cover, units, below)
        else:
            moved = cover
        self._pass(cover, moved)
        return moved

    def _gain(self, cover: Cover, units: int, below: int) -> Cover:
        """Go on from the old frontier, before which ``below`` units are taken now."""
        need = units - below
        rank, left, part = cover.rank, 0, 0
        for mark in self._ahead(self._admitted(cover.location), cover.rank):
            if not need and mark.rank != cover.rank:
                break
            if mark.now:
                self._mark(mark)
                part = min(need, mark.now)
                rank, left = mark.rank, mark.now - part
                need -= part
        if need:
            return Cover(cover.location, END, 0, units - need, 0)
        return Cover(cover.location, rank, left, units, part)

    def _give_up(self, cover: Cover, units: int, below: int) -> Cover:
        """Go back from the old frontier, before which ``below`` units are wanted now, to where ``units`` are."""
        excess = below - units
        behind = self._behind(self._admitted(cover.location), cover.rank)
        rank, left, part = cover.rank, 0, 0
        while excess:
            mark = next(behind)
            if mark.now:
                self._mark(mark)
                if mark.rank != cover.rank:
                    left = min(mark.now, excess)
                    rank, part = mark.rank, mark.now - left
                    excess -= left
        return Cover(cover.location, rank, left, units, part)

    def _pass(self, before: Cover, now: Cover) -> None:
        """Take what a step covers out of both worlds."""
        for key, mark in list(self._marks.items()):
            if self.admits(mark.scope, before.location):
                mark.before = _left(mark.before, mark.rank, before)
                mark.now = _left(mark.now, mark.rank, now)
                if mark.before == mark.now and not mark.is_kept:
                    del self._marks[key]
        for name in self._admitted(before.location):
            rank, left = self._reached.get(name, (b"", 0))
            if (before.rank, -before.left) > (rank, -left):
                self._reached[name] = before.rank, before.left

    # --- entries in rank order

    def _admitted(self, location: str) -> list[str]:
        return [name for name in self._scopes if self.admits(name, location)]

    def _mark(self, mark: Mark) -> None:
        self._marks[mark.scope, mark.rank] = mark
        self.moved[mark.line] = None

    def _ahead(self, names: Collection[str], rank: bytes) -> Iterator[Mark]:
        """Yield the entries of these scopes from a rank on, with what is left of them."""
        marked = [mark for mark in self._marks.values() if mark.rank >= rank and mark.scope in names]
        marked.sort(key=_rank)
        return merge(marked, *[self._forward(name, rank) for name in names if name in self._scopes], key=_rank)

    def _behind(self, names: Collection[str], rank: bytes) -> Iterator[Mark]:
        """Yield the entries of these scopes from a rank down, as far as something is left of them."""
        marked = [mark for mark in self._marks.values() if mark.rank <= rank and mark.scope in names]
        marked.sort(key=_rank, reverse=True)
        return merge(marked, *[self._backward(name, rank) for name in names], key=_rank, reverse=True)

    def _forward(self, name: str, rank: bytes) -> Iterator[Mark]:
        """Yield the entries of a scope without marks from a rank on, from where it is covered."""
        reached, left = self._reached.get(name, (b"", 0))
        has_whole = self._scopes[name].complete > 0
        for at, entry in self._page.claims(name, max(rank, reached), has_whole=has_whole):
            if (name, at) not in self._marks:
                units = left if at == reached else entry.units
                yield Mark(name, at, (entry.order_id, entry.line_id), units, units)

    def _backward(self, name: str, rank: bytes) -> Iterator[Mark]:
        """Yield the entries of a scope without marks from a rank down, to where it is covered."""
        reached, left = self._reached.get(name, (b"", 0))
        has_whole = self._scopes[name].complete > 0
        for at, entry in self._page.claims(name, rank, has_whole=has_whole, reverse=True):
            if at < reached:
                return
            if (name, at) not in self._marks:
                units = left if at == reached else entry.units
                yield Mark(name, at, (entry.order_id, entry.line_id), units, units)


def _rank(mark: Mark) -> bytes:
    return mark.rank


def _left(units: int, rank: bytes, cover: Cover) -> int:
    """Return what a step leaves of an entry that allows its location."""
    if rank > cover.rank:
        return units
    return 0 if rank < cover.rank else min(units, cover.left)
