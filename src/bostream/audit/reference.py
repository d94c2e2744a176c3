"""The reference allocator: rules.md as a program, slow and obvious, against which the books are checked (I10).

What must stay true: it shares no code with the books, keeps plain dictionaries and lists, and finds who is served, who
loses and what is promised by walking them anew. Only the sums per location and the queue, one sorted list of what the
lines say of themselves, are kept up to date beside the lines, so that an audit of a long log ends.

Where the rules leave open which of several facts of one event comes first, this order is the canonical one:

1. What the event itself says. Stock moves first; then an order's lines in line id order: of each, the units that leave
   (one DEALLOCATED per location, in leaving order), then one CANCELLED, then its terms change and demand is added;
   then, line by line, scans that waited for it (R15), in the order in which they came. A scan of a line: units that
   move from other locations (DEALLOCATED, in leaving order), what the line lacks (one ALLOCATED), then its own fact.
2. Shortages (R13), locations by id: worst rank first, one DEALLOCATED per entry that loses.
3. Service (R1-R9): in rank order, one ALLOCATED per entry and location, locations in taking order.
4. Promises (R17); they are no facts here, see :meth:`ReferenceBook.promises`.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar, assert_never

from bostream.audit.reference_ledger import ReferenceLedger
from bostream.audit.reference_line import LineKey, LineTotals, ReferenceLine, Turn
from bostream.audit.reference_movement import FOUND, LOST, Movement
from bostream.audit.reference_promise import Promise, promises, take_order
from bostream.audit.reference_stock import ReferenceInbound, ReferenceStock, StockTotals
from bostream.domain.sku.events import (
    DemandChanged,
    InboundChanged,
    LineDemand,
    LineRefreshed,
    ScanType,
    SkuEvent,
    StockScanned,
)
from bostream.domain.sku.outcomes import Reason
from bostream.errors import InvariantError


@dataclass(frozen=True, slots=True)
class ReferenceRules:
    """How long things are remembered, in µs of log time.

    Attributes:
        duplicate_horizon: for a scan's id (I8), and for a scan that names an unknown line (R15).
        retention: for a line after it closed, and for an ASN line after it closed or while it was never announced.
    """

    duplicate_horizon: int = 7 * 86_400_000_000
    retention: int = 30 * 86_400_000_000


Key = TypeVar("Key")

_OF_A_LINE = (ScanType.PICKED, ScanType.UNPICKED, ScanType.SHIPPED, ScanType.SHORTED)


class ReferenceBook:
    """All that is known of one SKU.

    Args:
        sku: the SKU; events of others are a mistake of the caller.
        rules: how long things are remembered.

    Attributes:
        ledger: stock and lines, for those who look closer than the questions at the end of this class; never to write.
    """

    def __init__(self, sku: str, rules: ReferenceRules) -> None:
        self.sku = sku
        self._rules = rules
        self.ledger = ReferenceLedger()
        self._inbound: dict[tuple[str, str], ReferenceInbound] = {}
        self._parked: dict[LineKey, list[tuple[int, StockScanned]]] = {}
        self._seen: dict[tuple[str, str], int] = {}
        self._lost: dict[LineKey, Reason] = {}

    # --- what happens

    def apply(self, event: SkuEvent, log_time: int) -> list[Movement]:
        """Let one event of the log happen and return its facts in order.

        Args:
            event: the next event of this SKU.
            log_time: running maximum of the log's timestamps, this event's included (µs).
        """
        self.ledger.movements = []
        self._lost = {}
        self.pass_time(log_time)
        match event:
            case DemandChanged():
                self._change_demand(event)
            case StockScanned():
                self._scan_once(event)
            case InboundChanged():
                self._change_inbound(event)
            case LineRefreshed():
                pass
            case _:
                assert_never(event)
        return self.ledger.movements

    def pass_time(self, log_time: int) -> None:
        """R21: what was due before this log time ends now; no fact tells of it. Dictionaries stand in order of age.

        Another SKU's event on the same partition does as well as one of this SKU.
        """
        self.ledger.log_time = log_time
        horizon = self.ledger.log_time - self._rules.duplicate_horizon
        for identity in _until(self._seen, horizon - 1):  # at the horizon it is still the same scan
            del self._seen[identity]
        kept = {key: [(at, scan) for at, scan in scans if at > horizon] for key, scans in self._parked.items()}
        self._parked = {key: scans for key, scans in kept.items() if scans}
        retained = self.ledger.log_time - self._rules.retention
        self._inbound = {
            key: notice for key, notice in self._inbound.items() if notice.is_open or notice.settled_at > retained
        }
        for key in _until(self.ledger.closed_at, retained):
            del self.ledger.closed_at[key]
            del self.ledger.lines[key]

    # --- demand (R5, R6, R12)

    def _change_demand(self, event: DemandChanged) -> None:
        reason = Reason(event.reason.value)
        newcomers = []
        for demand in sorted(event.lines, key=lambda demand: demand.line_id):
            key = (event.order_id, demand.line_id)
            if key not in self.ledger.lines:
                if demand.add == 0:
                    continue  # a line that wants nothing, and never did as far as is known, stays unknown
                self.ledger.lines[key] = ReferenceLine(*key, event.terms)
                newcomers.append(self.ledger.lines[key])
            self._lower_demand(self.ledger.lines[key], demand, reason)
            # Only now: changed terms hold for what still waits, so units leave by those under which they were held.
            self.ledger.lines[key].terms = event.terms
            self._raise_demand(self.ledger.lines[key], demand)
        for line in newcomers:
            for _, scan in self._parked.pop(line.key, []):
                if not line.is_closed:
                    self._set_against(line, scan)
        self._take_back(Reason.PICK_SHORTAGE)
        self._serve(Reason.STOCK_FREED, own=event)

    def _lower_demand(self, line: ReferenceLine, demand: LineDemand, reason: Reason) -> None:
        """R12: waiting units vanish, then allocated ones are freed; picked ones stay and are remembered as unwanted."""
        unpicked = line.allocated_total - line.picked_total
        open_units = line.waiting + line.allocated_total - line.unwanted
        cancel = open_units if demand.ends else min(demand.cancel, open_units)
        give_back = min(max(0, cancel - line.waiting), unpicked)
        vanish = min(cancel, line.waiting + unpicked)
        self._give_back(line, give_back, reason)
        if vanish > 0:
            self.ledger.cancel(line, vanish, reason)
        line.unwanted += cancel - vanish

    def _raise_demand(self, line: ReferenceLine, demand: LineDemand) -> None:
        """R5: added units are an entry of their own. Units cancelled after picking come back first (R12)."""
        wanted_again = min(demand.add, line.unwanted)
        line.unwanted -= wanted_again
        if demand.add > wanted_again:
            line.add(demand.add - wanted_again, demand.seniority)
        self.ledger.touch(line)

    def _give_back(self, line: ReferenceLine, quantity: int, reason: Reason, keep: str | None = None) -> None:
        """Free unpicked units of the line, in the reverse of the order in which it takes (R8); none at ``keep``."""
        for location in self._leaving_order(line):
            taken = min(quantity, line.unpicked(location))
            if taken > 0 and location != keep:
                self.ledger.deallocate(line, location, taken, reason)
                quantity -= taken

    def _leaving_order(self, line: ReferenceLine) -> list[str]:
        """R8: last of its list first; no list: least free stock first, ties by the greater id.

        Units at locations that a list does not name (it changed, or a scan put them there) leave before all others.
        """
        wishes = list(dict.fromkeys(line.terms.locations))
        by_id = sorted(line.allocated, reverse=True)
        by_free = sorted(by_id, key=lambda at: self.ledger.stock[at].free)
        return [at for at in by_free if at not in wishes] + [at for at in reversed(wishes) if at in line.allocated]

    # --- scans

    def _scan_once(self, scan: StockScanned) -> None:
        identity = (scan.source, scan.cause.event_id)
        if identity in self._seen:
            return  # I8
        self._seen[identity] = self.ledger.log_time
        change = self._move_stock(scan)
        if scan.type in _OF_A_LINE:
            self._scan_line(scan)
        elif scan.type is ScanType.RECEIVED and scan.asn_id is not None and scan.asn_line_id is not None:
            # Early receipts and receipts at another location count against the ASN line too.
            notice = self._notice(scan.asn_id, scan.asn_line_id)
            notice.received += scan.quantity
        self._take_back(LOST.get(scan.type, Reason.PICK_SHORTAGE))
        self._serve(FOUND.get(scan.type, Reason.STOCK_FREED) if change > 0 else Reason.STOCK_FREED)

    def _move_stock(self, scan: StockScanned) -> int:
        """I1: change on hand and quarantined as the scan says; return by how much on hand grew."""
        stock = self.ledger.at(scan.location)
        quantity = scan.quantity
        match scan.type:
            case ScanType.COUNTED:
                believed = stock.on_hand if scan.expected_quantity is None else scan.expected_quantity
                change = quantity - believed
            case ScanType.RECEIVED | ScanType.ADJUSTED | ScanType.RETURNED | ScanType.TRANSFERRED_IN:
                change = quantity
            case ScanType.SHIPPED | ScanType.SHORTED | ScanType.TRANSFERRED_OUT:
                change = -quantity
            case ScanType.QUARANTINED:
                change = -quantity
                stock.quarantined += quantity
            case ScanType.UNQUARANTINED:
                change = quantity
                stock.quarantined = max(0, stock.quarantined - quantity)
            case ScanType.PICKED | ScanType.UNPICKED:
                change = 0
            case _:
                assert_never(scan.type)
        stock.on_hand += change
        return change

    def _scan_line(self, scan: StockScanned) -> None:
        key = (scan.order_id or "", scan.line_id or "")
        line = self.ledger.lines.get(key)
        if line is None:
            self._parked.setdefault(key, []).append((self.ledger.log_time, scan))  # R15: until its order comes
        elif not line.is_closed:
            self._set_against(line, scan)

    def _set_against(self, line: ReferenceLine, scan: StockScanned) -> None:
        """Let a scan of a line change the line; its stock has moved already."""
        match scan.type:
            case ScanType.PICKED:
                self._cover(line, scan, scan.quantity - line.unpicked(scan.location))
                self.ledger.pick(line, scan.location, scan.quantity)
            case ScanType.SHIPPED:
                # The units leave as the scan's last fact, so that on_hand_after of the facts before it still has them.
                self.ledger.at(scan.location).on_hand += scan.quantity
                self._cover(line, scan, scan.quantity - line.allocated.get(scan.location, 0))
                self.ledger.ship(line, scan.location, scan.quantity)
            case ScanType.UNPICKED:
                back = min(scan.quantity, line.picked.get(scan.location, 0))
                if back > 0:
                    self.ledger.unpick(line, scan.location, back)
                    self._drop_unwanted(line, scan.location, back)
            case ScanType.SHORTED:
                self._short(line, scan.location, scan.quantity)
            case _:
                raise InvariantError(f"a {scan.type} scan names no line")
        self.ledger.touch(line)

    def _cover(self, line: ReferenceLine, scan: StockScanned, lacking: int) -> None:
        """R14: the WMS is right. What the line lacks here becomes its own, free or not; who loses is R13's business."""
        if lacking <= 0:
            return
        elsewhere = line.allocated_total - line.picked_total - line.unpicked(scan.location)
        moves = min(max(0, lacking - line.waiting), elsewhere)
        self._give_back(line, moves, Reason.SCANNED, keep=scan.location)
        if lacking > line.waiting:
            line.add(lacking - line.waiting, max(scan.cause.occurred_at, line.terms.accepted_at))
        self.ledger.allocate(line, scan.location, lacking, Reason.SCANNED)

    def _drop_unwanted(self, line: ReferenceLine, location: str, back: int) -> None:
        """R12: of units that came back to the shelf, the cancelled ones go first, and are free."""
        dropped = min(back, line.unwanted)
        if dropped > 0:
            line.unwanted -= dropped
            self.ledger.deallocate(line, location, dropped, Reason.ORDER_CANCELLED)
            self.ledger.cancel(line, dropped, Reason.ORDER_CANCELLED)

    def _short(self, line: ReferenceLine, location: str, quantity: int) -> None:
        """SHORTED: the line loses what was not found, unpicked units first, and waits again; unwanted ones end."""
        lost = min(quantity, line.allocated.get(location, 0))
        if lost == 0:
            return
        picked = max(0, lost - line.unpicked(location))
        if picked > 0:
            self.ledger.unpick(line, location, picked)
        self.ledger.deallocate(line, location, lost, Reason.PICK_SHORTAGE)
        self._lost[line.key] = Reason.PICK_SHORTAGE
        ended = min(picked, line.unwanted)
        if ended > 0:
            line.unwanted -= ended
            self.ledger.cancel(line, ended, Reason.ORDER_CANCELLED)

    # --- inbound (R16)

    def _change_inbound(self, event: InboundChanged) -> None:
        self.ledger.at(event.location)
        for stated in event.lines:
            self._notice(event.asn_id, stated.line_id).is_announced = True
        wanted = {stated.line_id: stated.quantity for stated in event.lines}
        for (asn_id, line_id), notice in self._inbound.items():
            if asn_id == event.asn_id and notice.is_announced:
                if event.closed and not notice.is_closed:
                    notice.settled_at = self.ledger.log_time
                notice.is_closed = event.closed
                notice.quantity = wanted.get(line_id, 0)  # a line that the newest notice does not name is withdrawn
                notice.location, notice.eta = event.location, event.eta

    def _notice(self, asn_id: str, asn_line_id: str) -> ReferenceInbound:
        return self._inbound.setdefault((asn_id, asn_line_id), ReferenceInbound(settled_at=self.ledger.log_time))

    # --- shortage (R13)

    def _take_back(self, reason: Reason) -> None:
        """R13: exactly what is allocated above on hand, worst rank first, never picked units; the rest is a deficit."""
        for location in sorted(self.ledger.stock):
            while self.ledger.stock[location].free < 0:
                losers = [line for line in self.ledger.lines.values() if line.unpicked(location) > 0]
                if not losers:
                    break
                # R5: a line loses of its worst entry first.
                worst = max(losers, key=lambda line: line.rank(line.worst_filled_entry()[0]))
                _, units = worst.worst_filled_entry()
                taken = min(-self.ledger.stock[location].free, units, worst.unpicked(location))
                self.ledger.deallocate(worst, location, taken, reason)
                self._lost[worst.key] = reason
                self.ledger.touch(worst)

    # --- service (R1, R3, R4, R7, R8, R9)

    def _serve(self, reason: Reason, own: DemandChanged | None = None) -> None:
        """Offer free stock to everybody who waits, in rank order; one walk is enough, since free stock only falls.

        Args:
            reason: why units are given; a line that lost units in this event is given others for that reason.
            own: the change of an order that is being handled; its own lines get its reason.
        """
        free = {location: stock.free for location, stock in self.ledger.stock.items() if stock.free > 0}
        if not free:
            return
        for turn in list(self.ledger.queue):
            if not free:
                return
            if self._is_eligible(turn, free):
                is_own = own is not None and turn.key[0] == own.order_id
                why = Reason(own.reason.value) if own and is_own else self._lost.get(turn.key, reason)
                self._serve_turn(turn, free, why)

    def _is_eligible(self, turn: Turn, free: dict[str, int]) -> bool:
        """R9: PARTIAL takes what is there; LINE_COMPLETE needs its locations to cover all that it waits for."""
        line = self.ledger.lines[turn.key]
        reachable = sum(units for location, units in free.items() if line.allows(location))
        return reachable >= (turn.units if turn.whole else 1)

    def _serve_turn(self, turn: Turn, free: dict[str, int], reason: Reason) -> None:
        line = self.ledger.lines[turn.key]
        wanted = turn.units
        for location in take_order(line, free):
            taken = min(wanted, free[location])
            if taken > 0:
                self.ledger.allocate(line, location, taken, reason)
                wanted -= taken
                free[location] -= taken
                if free[location] == 0:
                    del free[location]
        self.ledger.touch(line)

    # --- what stands

    def stock(self) -> dict[str, StockTotals]:
        """Return the published state of every location that an event named."""
        return {location: self.stock_at(location) for location in self.ledger.stock}

    def stock_at(self, location: str) -> StockTotals:
        """Return the published state of one location, named or not."""
        stock = self.ledger.stock.get(location, ReferenceStock())
        coming = [notice for notice in self._inbound.values() if notice.location == location and notice.open_units > 0]
        return StockTotals(
            on_hand=stock.on_hand,
            allocated=stock.allocated,
            picked=stock.picked,
            quarantined=stock.quarantined,
            deficit=max(0, -stock.free),
            waiting=sum(
                self.ledger.lines[key].waiting for key in self.ledger.turns if self.ledger.lines[key].allows(location)
            ),
            inbound=sum(notice.open_units for notice in coming),
            next_eta=min((notice.eta for notice in coming), default=None),
        )

    def lines(self) -> dict[LineKey, LineTotals]:
        """Return the totals of every line that is known, closed ones included until they are forgotten."""
        return {key: line.totals() for key, line in self.ledger.lines.items()}

    def promises(self) -> dict[LineKey, Promise | None]:
        """Return the promise of every waiting line by R17, recomputed from scratch."""
        return promises((self.ledger.lines[key] for key in self.ledger.turns), self.ledger.stock, self._inbound)

    def seen(self) -> frozenset[tuple[str, str]]:
        """Return (source, event id) of the scans that would be repeats now (I8)."""
        return frozenset(self._seen)

    @property
    def sequence(self) -> int:
        """The number of facts so far."""
        return self.ledger.sequence


def _until(moments: Mapping[Key, int], last: int) -> list[Key]:
    """Return the keys whose moment is this one or lies before it; they stand in order of their moments."""
    return [key for key, _ in itertools.takewhile(lambda item: item[1] <= last, moments.items())]
