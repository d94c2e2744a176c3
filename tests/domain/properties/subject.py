"""Whatever keeps the books of SKUs, seen in one way: told an event, it answers with facts, and tells how things stand.

The properties speak to this interface only, so that they hold for the real books and for the reference allocator alike.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from bostream.audit.reference import ReferenceBook, ReferenceRules
from bostream.audit.reference_line import LineTotals
from bostream.audit.reference_movement import Movement, MovementType
from bostream.audit.reference_stock import StockTotals
from bostream.domain.sku.book import Book, Rules
from bostream.domain.sku.events import SkuEvent
from bostream.domain.sku.handle import fire, handle
from bostream.domain.sku.outcomes import (
    Outcome,
    Reason,
    UnitsAllocated,
    UnitsCancelled,
    UnitsDeallocated,
    UnitsPicked,
    UnitsShipped,
    UnitsUnpicked,
)
from bostream.domain.state import TIMERS, TableSpec
from bostream.testing.memory import MemoryState

Eta = tuple[int, str]
"""(eta, ``asn/line``)."""

Units = UnitsAllocated | UnitsDeallocated | UnitsPicked | UnitsUnpicked | UnitsShipped | UnitsCancelled


class Subject(Protocol):
    """The books of all SKUs of a history."""

    def apply(self, event: SkuEvent, log_time: int) -> list[Movement]:
        """Let timers that are due fire, then the event happen; return its facts."""

    def stock(self, sku: str, location: str) -> StockTotals:
        """Return how a location stands, all 0 when it is unknown."""

    def line(self, sku: str, order_id: str, line_id: str) -> LineTotals | None:
        """Return how a line stands, None when it is unknown."""

    def eta(self, sku: str, order_id: str, line_id: str) -> Eta | None:
        """Return the promise of a waiting line (R17)."""

    def everything(self) -> object:
        """Return all state, comparable."""

    def said(self) -> int:
        """Return how many outcomes of any kind the last event had."""

    def reload(self) -> None:
        """Write all state down and read it back, as a restart does."""


class ReferenceSubject:
    """The reference allocator, one for each SKU."""

    def __init__(self) -> None:
        self._books: dict[str, ReferenceBook] = {}
        self._said = 0

    def book(self, sku: str) -> ReferenceBook:
        return self._books.setdefault(sku, ReferenceBook(sku, ReferenceRules()))

    def apply(self, event: SkuEvent, log_time: int) -> list[Movement]:
        for book in self._books.values():
            book.pass_time(log_time)
        facts = self.book(event.sku).apply(event, log_time)
        self._said = len(facts)
        return facts

    def stock(self, sku: str, location: str) -> StockTotals:
        return self.book(sku).stock_at(location)

    def line(self, sku: str, order_id: str, line_id: str) -> LineTotals | None:
        return self.book(sku).lines().get((order_id, line_id))

    def eta(self, sku: str, order_id: str, line_id: str) -> Eta | None:
        promise = self.book(sku).promises().get((order_id, line_id))
        return None if promise is None else (promise.eta, "/".join(promise.source))

    def everything(self) -> object:
        return [(sku, book.stock(), book.lines(), book.promises(), book.seen()) for sku, book in self._books.items()]

    def said(self) -> int:
        return self._said

    def reload(self) -> None:
        """The reference keeps nothing that could be lost."""


class BookSubject:
    """The real books over one in-memory state."""

    def __init__(self) -> None:
        self._rules = Rules()
        self._state = MemoryState()
        self._book = Book(self._state, self._rules)
        self._outcomes: list[Outcome] = []

    def apply(self, event: SkuEvent, log_time: int) -> list[Movement]:
        self._fire(log_time)
        facts: list[Movement] = []
        self._outcomes = []
        for outcome in handle(self._book, event, log_time):
            self._outcomes.append(outcome)
            facts.extend(self._facts(event.sku, outcome))
        return facts

    def _fire(self, log_time: int) -> None:
        """R21: a timer fires before the record with which log time reaches its due moment."""
        timers = self._state.table(TIMERS)
        while due := [(key, timer) for key, timer in timers.scan(b"") if timer.due <= log_time]:
            key, timer = due[0]
            timers.delete(key)
            for _ in fire(self._book, timer, timer.due):
                pass

    def _facts(self, sku: str, outcome: Outcome) -> Iterator[Movement]:
        """Read what the ``allocations`` topic publishes of an outcome off the books, right after it took effect."""
        match outcome:
            case UnitsAllocated():
                yield self._fact(sku, MovementType.ALLOCATED, outcome, outcome.location, outcome.reason)
            case UnitsDeallocated():
                yield self._fact(sku, MovementType.DEALLOCATED, outcome, outcome.location, outcome.reason)
            case UnitsPicked():
                yield self._fact(sku, MovementType.PICKED, outcome, outcome.location, Reason.SCANNED)
            case UnitsUnpicked():
                yield self._fact(sku, MovementType.UNPICKED, outcome, outcome.location, Reason.SCANNED)
            case UnitsShipped():
                yield self._fact(sku, MovementType.SHIPPED, outcome, outcome.location, Reason.SCANNED)
            case UnitsCancelled():
                yield self._fact(sku, MovementType.CANCELLED, outcome, "", outcome.reason)
            case _:
                pass

    def _fact(self, sku: str, kind: MovementType, outcome: Units, location: str, reason: Reason) -> Movement:
        totals = self.line(sku, outcome.order_id, outcome.line_id)
        if totals is None:
            raise AssertionError(f"{outcome} is about a line that the book does not know")
        position = self._book.position(sku, location) if location else None
        return Movement(
            sku_sequence=self._book.sequence(sku),
            type=kind,
            order_id=outcome.order_id,
            line_id=outcome.line_id,
            location=location,
            quantity=outcome.quantity,
            reason=reason,
            totals=totals,
            on_hand_after=position.on_hand if position else 0,
            available_after=position.available if position else 0,
        )

    def stock(self, sku: str, location: str) -> StockTotals:
        position = self._book.position(sku, location)
        return StockTotals(
            on_hand=position.on_hand,
            allocated=position.allocated,
            picked=position.picked,
            quarantined=position.quarantined,
            deficit=position.deficit,
            waiting=position.waiting,
            inbound=position.inbound,
            next_eta=position.next_eta,
        )

    def line(self, sku: str, order_id: str, line_id: str) -> LineTotals | None:
        view = self._book.view(sku, order_id, line_id)
        if view is None:
            return None
        return LineTotals(view.ordered, view.allocated, view.picked, view.shipped, view.cancelled, view.waiting)

    def eta(self, sku: str, order_id: str, line_id: str) -> Eta | None:
        view = self._book.view(sku, order_id, line_id)
        if view is None or view.eta is None:
            return None
        return view.eta, view.eta_source or ""

    def everything(self) -> object:
        return {key: msgspec.msgpack.encode(row) for key, row in self._state.rows().items()}

    def said(self) -> int:
        return len(self._outcomes)

    def reload(self) -> None:
        state = MemoryState()
        for (number, key), row in self._state.rows().items():
            spec: TableSpec[Any] = TableSpec("reloaded", number, type(row))
            state.table(spec).put(key, msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=type(row)))
        self._state = state
        self._book = Book(state, self._rules)
