"""Replays the SKUs log through the reference allocator, one book for each SKU.

What must stay true: records are fed in offset order within each partition; what is kept of each expected movement is a
compact tuple, since a year of business has millions of them.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

from bostream.audit.reference import ReferenceBook, ReferenceRules
from bostream.audit.reference_line import LineKey, LineTotals
from bostream.audit.reference_movement import Movement
from bostream.audit.reference_promise import Promise
from bostream.audit.reports import Reports, Stand
from bostream.domain.cause import Cause
from bostream.domain.sku.events import DemandChanged, SkuEvent

MOVEMENT_FIELDS: Final = (
    "type",
    "order_id",
    "line_id",
    "location",
    "quantity",
    "reason",
    "ordered",
    "allocated",
    "picked",
    "shipped",
    "cancelled",
    "waiting",
    "on_hand_after",
    "available_after",
)
"""What the reference says of each movement, in the order of :data:`MovementFields`."""

MovementFields = tuple[str, str, str, str, int, str, int, int, int, int, int, int, int, int]


class Origin:
    """The log record behind some movements of one SKU."""

    __slots__ = ("cause", "first_sequence", "offset")

    def __init__(self, offset: int, cause: Cause, first_sequence: int) -> None:
        self.offset = offset
        self.cause = cause
        self.first_sequence = first_sequence


class OpenLine(NamedTuple):
    """An open line as ``backorder-lines`` must show it."""

    totals: LineTotals
    accepted_at: int


class Account:
    """One SKU.

    Attributes:
        partition: of the SKUs log.
        book: the reference's view, at the end of the replay.
        expected: (fields, origin) of each movement; its place in the list is its ``sku_sequence`` less 1.
        required: how many of them must have been published; later ones may have been.
        accepted_at: of each line that was ever asked for.
        moved: lines that live under another SKU now.
        is_moving: events after the cut were replayed, so published states may be older or newer than the book's.
    """

    __slots__ = ("accepted_at", "book", "expected", "is_moving", "moved", "partition", "required")

    def __init__(self, sku: str, partition: int, rules: ReferenceRules) -> None:
        self.partition = partition
        self.book = ReferenceBook(sku, rules)
        self.expected: list[tuple[MovementFields, Origin]] = []
        self.required = 0
        self.accepted_at: dict[LineKey, int] = {}
        self.moved: set[LineKey] = set()
        self.is_moving = False

    def shown_lines(self) -> dict[LineKey, OpenLine]:
        """Return the open lines that this SKU must show in ``backorder-lines``."""
        return {
            key: OpenLine(totals, self.accepted_at[key])
            for key, totals in self.book.lines().items()
            if (totals.waiting or totals.allocated) and key not in self.moved
        }

    def promises(self) -> Mapping[LineKey, Promise | None]:
        """Return the promise of every waiting line (R17)."""
        return self.book.promises()


class Ledger:
    """All SKUs of an application.

    Args:
        rules: how long things are remembered.
        reports: told how each touched line stands after each event.
    """

    def __init__(self, rules: ReferenceRules, reports: Reports) -> None:
        self.accounts: dict[str, Account] = {}
        self._rules = rules
        self._reports = reports

    def apply(self, event: SkuEvent, *, partition: int, offset: int, log_time: int, is_past_cut: bool) -> None:
        """Let the next event of a partition happen.

        Args:
            event: what the log says.
            partition: of the SKUs log.
            offset: of the event's record.
            log_time: running maximum of the partition's timestamps, this record's included (µs).
            is_past_cut: its effects need not have been published yet.
        """
        account = self.accounts.get(event.sku)
        if account is None:
            account = self.accounts[event.sku] = Account(event.sku, partition, self._rules)
        if isinstance(event, DemandChanged):
            self._note_demand(account, event)
        movements = account.book.apply(event, log_time)
        if movements:
            origin = Origin(offset, event.cause, movements[0].sku_sequence)
            account.expected.extend((fields_of(movement), origin) for movement in movements)
        if is_past_cut:
            account.is_moving = True
        else:
            account.required = len(account.expected)
        self._note_reports(account, event, movements)

    def _note_demand(self, account: Account, event: DemandChanged) -> None:
        """A line that moved away is shown by its new SKU, until this one is asked for units of it again."""
        for demand in event.lines:
            key = (event.order_id, demand.line_id)
            if demand.add > 0:
                account.moved.discard(key)
            elif demand.moved:
                account.moved.add(key)
            if demand.add > 0 or key in account.accepted_at:
                account.accepted_at[key] = event.terms.accepted_at

    def _note_reports(self, account: Account, event: SkuEvent, movements: list[Movement]) -> None:
        """Tell the reports how every line stands that the event touched."""
        stands = {(movement.order_id, movement.line_id): _stand_of(movement.totals) for movement in movements}
        if isinstance(event, DemandChanged):
            for demand in event.lines:
                key = (event.order_id, demand.line_id)
                if demand.add == 0 or key in stands:
                    continue  # nothing changed but what the last movement tells
                if self._reports.is_expected(event.sku, key):
                    # Listing all lines is slow, but only an order that was amended upwards needs it.
                    stands[key] = _stand_of(account.book.lines()[key])
                else:
                    stands[key] = (demand.add, 0, 0, 0, 0, demand.add)
        for key, stand in stands.items():
            self._reports.expect(event.sku, key, stand)


def _stand_of(totals: LineTotals) -> Stand:
    return (
        totals.ordered,
        totals.allocated,
        totals.picked,
        totals.shipped,
        totals.cancelled,
        totals.waiting,
    )


def fields_of(movement: Movement) -> MovementFields:
    """Return what is compared of a movement."""
    totals = movement.totals
    return (
        movement.type.value,
        movement.order_id,
        movement.line_id,
        movement.location,
        movement.quantity,
        movement.reason.value,
        totals.ordered,
        totals.allocated,
        totals.picked,
        totals.shipped,
        totals.cancelled,
        totals.waiting,
        movement.on_hand_after,
        movement.available_after,
    )


class LogClock:
    """Log time of each partition of one log: the running maximum of its timestamps (R21)."""

    def __init__(self) -> None:
        self._times: defaultdict[int, int] = defaultdict(int)

    def pass_record(self, partition: int, timestamp: int) -> int:
        """Return log time at a record (µs)."""
        time = max(self._times[partition], timestamp)
        self._times[partition] = time
        return time
