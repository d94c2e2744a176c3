"""The SKU books as a stage: events of the SKUs log in; allocations, lines, stock positions and reports out.

What must stay true: between two batches the stage remembers nothing but the state; within one it remembers which stock
positions changed, and publishes each of them once, as it stands at the end.
"""

import msgspec

from bostream.contract.identity import join_key
from bostream.contract.records import StockPosition
from bostream.domain.cause import Cause
from bostream.domain.keys import unpack
from bostream.domain.sku.book import Book, Page, Position, Rules
from bostream.domain.sku.events import LineRefreshed, SkuRecord, Ticked
from bostream.domain.sku.handle import fire, handle
from bostream.domain.state import State, Timer
from bostream.engine.ports import Emit, Origin, Record, StageFactory
from bostream.stages.common import InternalLogs, Outputs, decode, next_id, timer_cause
from bostream.stages.sku_effects import SkuEffects

Waiting = dict[str, tuple[tuple[str, ...], int]]
"""Units that wait, with the locations that may serve them (empty: any), by scope."""


class TouchedSku:
    """What a batch did to one SKU's stock positions.

    Attributes:
        locations: where stock or inbound changed.
        waiting: what waited when the batch first touched the SKU.
        origin, cause: the newest event on the SKU; the positions are published as its effects.
    """

    __slots__ = ("cause", "locations", "origin", "waiting")

    def __init__(self, waiting: Waiting, origin: Origin, cause: Cause) -> None:
        self.locations: set[str] = set()
        self.waiting = waiting
        self.origin = origin
        self.cause = cause


class SkusStage:
    """The books of one partition of the SKUs log."""

    name = "skus"

    def __init__(self, state: State, rules: Rules, logs: InternalLogs, outputs: Outputs) -> None:
        self._book = Book(state, rules)
        self._logs = logs
        self._outputs = outputs
        self._decoder: msgspec.msgpack.Decoder[SkuRecord] = msgspec.msgpack.Decoder(SkuRecord)
        self._touched: dict[str, TouchedSku] = {}

    def process(self, record: Record, origin: Origin, emit: Emit) -> None:
        """Apply one record of the log; see :class:`bostream.engine.ports.StatefulStage`."""
        event = decode(self._decoder, record)
        if isinstance(event, Ticked):
            return
        effects = self._begin(event.sku, event.cause, origin, emit)
        if isinstance(event, LineRefreshed):
            effects.refresh(event.order_id, event.line_id)
        for outcome in handle(self._book, event, origin.log_time):
            effects.add(outcome)
        effects.close()

    def fire(self, timer: Timer, origin: Origin, emit: Emit) -> None:
        """Apply a timer that is due; its subject begins with the SKU, or what it does is told to nobody."""
        cause = timer_cause(timer, origin.record, self._decoder)
        effects = self._begin(timer.subject[0], cause, origin, emit)
        for outcome in fire(self._book, timer, origin.log_time):
            effects.add(outcome)
        effects.close()

    def finish(self, emit: Emit) -> None:
        """Publish the stock positions that the batch changed."""
        for sku, touched in self._touched.items():
            page = self._book.page(sku)
            locations = sorted(touched.locations | _served_otherwise(page, touched.waiting))
            for location, position in zip(locations, page.positions(locations), strict=True):
                record = _public(sku, location, position)
                key = join_key(sku, location)
                emit(self._outputs.stock_positions.output(key, record, next_id(touched.origin), touched.cause))
        self._touched.clear()

    def rollback(self) -> None:
        """Forget what the dropped batch changed."""
        self._touched.clear()

    def _begin(self, sku: str, cause: Cause, origin: Origin, emit: Emit) -> SkuEffects:
        page = self._book.page(sku)
        touched = self._touched.get(sku)
        if touched is None:
            touched = self._touched[sku] = TouchedSku(_waiting(page), origin, cause)
        touched.origin = origin
        touched.cause = cause
        return SkuEffects(
            page, cause, origin, emit, outputs=self._outputs, logs=self._logs, locations=touched.locations
        )


def _waiting(page: Page) -> Waiting:
    return {name: (scope.locations, scope.units) for name, scope in page.head.scopes.items()}


def _served_otherwise(page: Page, before: Waiting) -> set[str]:
    """Return the locations where other quantities may be served than before."""
    after = _waiting(page)
    locations: set[str] = set()
    for name in before.keys() | after.keys():
        allowed, units_before = before.get(name, ((), 0))
        allowed, units_after = after.get(name, (allowed, 0))
        if units_before == units_after:
            continue
        if not allowed:
            return _known_locations(page)
        locations.update(allowed)
    return locations


def _known_locations(page: Page) -> set[str]:
    """Return the locations where the SKU ever was, was expected, or was asked for by name: each has a stock row."""
    return {str(unpack(key)[-1]) for key, _ in page.book.stock.scan(page.prefix)}


def stock_position(page: Page, location: str) -> StockPosition:
    """Return the public record of the stock at a location."""
    return _public(page.sku, location, page.position(location))


def _public(sku: str, location: str, position: Position) -> StockPosition:
    return StockPosition(
        sku=sku,
        location=location,
        on_hand=position.on_hand,
        allocated=position.allocated,
        picked=position.picked,
        quarantined=position.quarantined,
        available=position.available,
        deficit=position.deficit,
        waiting=position.waiting,
        inbound=position.inbound,
        next_eta=position.next_eta,
    )


def skus_stage(logs: InternalLogs, outputs: Outputs, rules: Rules | None = None) -> StageFactory:
    """Return what makes the SKU books of one partition."""
    constants = rules or Rules()

    def make(state: State) -> SkusStage:
        return SkusStage(state, constants, logs, outputs)

    return make
