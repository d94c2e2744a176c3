"""A slow, obvious first-come-first-served allocator: enough to see whether generated traffic is served in the end.

It knows no priorities and no policies; LINE_COMPLETE lines take all or nothing. Lines are served in order of arrival.
"""

import collections

import msgspec

from bostream.contract.records import AsnEvent, InventoryScan, OrderEvent
from bostream.domain.documents.events import OrderAction
from bostream.domain.sku.events import ScanType, ShipPolicy
from bostream.traffic.agenda import Record


def is_bad(record: Record) -> bool:
    """Tell whether a record was made bad on purpose; such records name no real SKU or order."""
    match record:
        case bytes():
            return True
        case OrderEvent():
            return record.order_id.startswith("bad-")
        case InventoryScan():
            return record.sku == "SKU-BAD"
        case AsnEvent():
            return record.asn_id.startswith("bad-")


class Moved(msgspec.Struct, frozen=True):
    type: str
    order_id: str
    line_id: str
    sku: str
    location: str
    quantity: int
    sku_sequence: int


class Line(msgspec.Struct, eq=False):
    order_id: str
    line_id: str
    sku: str
    since_us: int
    locations: tuple[str, ...]
    complete: bool
    waiting: int
    held: dict[str, int] = msgspec.field(default_factory=dict)
    picked: dict[str, int] = msgspec.field(default_factory=dict)
    cancelled_after_picking: int = 0

    def loose(self, location: str) -> int:
        """Units that may still be taken back there: picked ones may not."""
        return self.held.get(location, 0) - self.picked.get(location, 0)


class FifoAllocator:
    def __init__(self) -> None:
        self.on_hand: collections.Counter[tuple[str, str]] = collections.Counter()
        self.served_at_once = 0
        self.demanded = 0
        self._allocated: collections.Counter[tuple[str, str]] = collections.Counter()
        self._places: dict[str, set[str]] = collections.defaultdict(set)
        self._queue: dict[str, dict[tuple[str, str, str], Line]] = collections.defaultdict(dict)
        self._lines: dict[tuple[str, str, str], Line] = {}
        self._documents: dict[str, dict[str, tuple[str, int]]] = {}
        self._versions: dict[str, int] = {}
        self._cancelled: set[str] = set()
        self._seen: set[str] = set()
        self._sequence: collections.Counter[str] = collections.Counter()

    @property
    def backlog_units(self) -> int:
        return sum(line.waiting for queue in self._queue.values() for line in queue.values())

    def oldest_waiting_us(self) -> int | None:
        return min((line.since_us for queue in self._queue.values() for line in queue.values()), default=None)

    def waiting_lines(self) -> list[Line]:
        return [line for queue in self._queue.values() for line in queue.values()]

    def handle(self, record: Record) -> list[Moved]:
        if isinstance(record, bytes | AsnEvent) or record.event_id in self._seen or is_bad(record):
            return []
        self._seen.add(record.event_id)
        if isinstance(record, OrderEvent):
            return self._order(record)
        return self._scan(record)

    def _order(self, event: OrderEvent) -> list[Moved]:
        if event.order_version <= self._versions.get(event.order_id, 0) or event.order_id in self._cancelled:
            return []
        self._versions[event.order_id] = event.order_version
        if event.type is OrderAction.CANCELLED:
            self._cancelled.add(event.order_id)
        before = self._documents.get(event.order_id, {})
        after = {line.line_id: (line.sku, line.quantity) for line in event.lines}
        self._documents[event.order_id] = after
        moved: list[Moved] = []
        for line_id, sku in sorted({(i, s) for document in (before, after) for i, (s, _) in document.items()}):
            old, new = before.get(line_id, ("", 0)), after.get(line_id, ("", 0))
            change = (new[1] if new[0] == sku else 0) - (old[1] if old[0] == sku else 0)
            if change > 0:
                self.demanded += change
                moved += self._ask(event, line_id, sku, change)
                moved_units = sum(each.quantity for each in moved if each.line_id == line_id and each.sku == sku)
                self.served_at_once += min(change, moved_units)
            elif change < 0:
                moved += self._give_back((event.order_id, line_id, sku), -change)
        return moved

    def _ask(self, event: OrderEvent, line_id: str, sku: str, units: int) -> list[Moved]:
        key = (event.order_id, line_id, sku)
        line = self._lines.get(key)
        if line is None:
            complete = event.ship_policy is ShipPolicy.LINE_COMPLETE
            since = event.occurred_at
            line = self._lines[key] = Line(event.order_id, line_id, sku, since, event.locations, complete, 0)
        line.waiting += units
        self._queue[sku][key] = line
        return self._serve(sku)

    def _give_back(self, key: tuple[str, str, str], units: int) -> list[Moved]:
        line = self._lines[key]
        taken = min(units, line.waiting)
        line.waiting -= taken
        if not line.waiting:
            self._queue[line.sku].pop(key, None)
        moved = []
        for location in list(line.held):
            freed = min(units - taken, line.loose(location))
            if freed:
                taken += freed
                moved.append(self._release(line, location, freed))
        line.cancelled_after_picking += units - taken
        return moved + self._serve(line.sku)

    def _release(self, line: Line, location: str, units: int) -> Moved:
        line.held[location] -= units
        self._allocated[line.sku, location] -= units
        return self._moved("DEALLOCATED", line, location, units)

    def _moved(self, kind: str, line: Line, location: str, units: int) -> Moved:
        self._sequence[line.sku] += 1
        return Moved(kind, line.order_id, line.line_id, line.sku, location, units, self._sequence[line.sku])

    def _free(self, sku: str, location: str) -> int:
        return max(0, self.on_hand[sku, location] - self._allocated[sku, location])

    def _serve(self, sku: str) -> list[Moved]:
        moved: list[Moved] = []
        queue = self._queue[sku]
        for key, line in list(queue.items()):
            places = line.locations or sorted(self._places[sku], key=lambda place: (-self._free(sku, place), place))
            if line.complete and sum(self._free(sku, place) for place in places) < line.waiting:
                continue
            for place in places:
                units = min(line.waiting, self._free(sku, place))
                if units:
                    line.waiting -= units
                    line.held[place] = line.held.get(place, 0) + units
                    self._allocated[sku, place] += units
                    moved.append(self._moved("ALLOCATED", line, place, units))
            if not line.waiting:
                del queue[key]
        return moved

    def _scan(self, scan: InventoryScan) -> list[Moved]:
        place = (scan.sku, scan.location)
        self._places[scan.sku].add(scan.location)
        match scan.type:
            case ScanType.RECEIVED | ScanType.RETURNED | ScanType.UNQUARANTINED | ScanType.TRANSFERRED_IN:
                self.on_hand[place] += scan.quantity
            case ScanType.ADJUSTED:
                self.on_hand[place] += scan.quantity
            case ScanType.QUARANTINED | ScanType.TRANSFERRED_OUT:
                self.on_hand[place] -= scan.quantity
            case ScanType.COUNTED:
                expected = self.on_hand[place] if scan.expected_quantity is None else scan.expected_quantity
                self.on_hand[place] += scan.quantity - expected
            case ScanType.SHIPPED | ScanType.SHORTED:
                self._leave(scan)
            case ScanType.PICKED | ScanType.UNPICKED:
                return self._pick(scan) + self._serve(scan.sku)
        return self._shortage(*place) + self._serve(scan.sku)

    def _pick(self, scan: InventoryScan) -> list[Moved]:
        line, location = self._line_of(scan), scan.location
        picked = line.picked.get(location, 0)
        if scan.type is ScanType.PICKED:
            line.picked[location] = min(picked + scan.quantity, line.held.get(location, 0))
            return []
        line.picked[location] = max(0, picked - scan.quantity)
        freed = min(line.cancelled_after_picking, line.loose(location))
        line.cancelled_after_picking -= freed
        return [self._release(line, location, freed)] if freed else []

    def _line_of(self, scan: InventoryScan) -> Line:
        return self._lines[scan.order_id or "", scan.line_id or "", scan.sku]

    def _leave(self, scan: InventoryScan) -> None:
        line, location = self._line_of(scan), scan.location
        self.on_hand[scan.sku, location] -= scan.quantity
        held = min(scan.quantity, line.held.get(location, 0))
        line.held[location] = line.held.get(location, 0) - held
        self._allocated[scan.sku, location] -= held
        if scan.type is ScanType.SHORTED:
            line.waiting += held
        else:
            # What was shipped beyond what was allocated is not waited for any more.
            line.waiting -= min(line.waiting, scan.quantity - held)
            line.cancelled_after_picking -= min(line.cancelled_after_picking, held)
            line.picked[location] = max(0, line.picked.get(location, 0) - scan.quantity)
        key = (line.order_id, line.line_id, line.sku)
        if line.waiting:
            self._queue[scan.sku][key] = line
        else:
            self._queue[scan.sku].pop(key, None)

    def _shortage(self, sku: str, location: str) -> list[Moved]:
        missing = self._allocated[sku, location] - max(0, self.on_hand[sku, location])
        moved = []
        for key, line in reversed(list(self._lines.items())) if missing > 0 else []:
            units = min(missing, line.loose(location)) if key[2] == sku else 0
            if units:
                moved.append(self._release(line, location, units))
                line.waiting += units
                self._queue[sku][key] = line
                missing -= units
        return moved
