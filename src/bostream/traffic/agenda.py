"""What happens next in the generated world: a queue of moments, and the wire on which its records leave.

What must stay true: entries come in the order of their time, those of the same moment in the order in which they were
entered; so the same entries give the same stream. Nothing comes before the moment reached.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from bostream.contract.records import AsnEvent, InventoryScan, OrderEvent, OrderLine
from bostream.domain.documents.events import AsnAction, OrderAction
from bostream.domain.sku.events import ScanType

ORDERS = "orders"
SCANS = "inventory-scans"
ASNS = "asns"

GoodRecord = OrderEvent | InventoryScan | AsnEvent
Record = GoodRecord | bytes
"""A record to encode, or bytes to produce as they are (garbage on purpose)."""


class Emission(NamedTuple):
    """One record to produce: when (µs of the model's time), to which topic (name without prefix), under which key."""

    at_us: int
    topic: str
    key: str
    record: Record


class Tally(msgspec.Struct):
    """What was sent so far.

    ``bad``: made bad on purpose; ``repeated``: copies sent again; ``late``: held up.
    """

    records: int = 0
    orders: int = 0
    order_lines: int = 0
    units: int = 0
    amendments: int = 0
    cancellations: int = 0
    scans: int = 0
    asns: int = 0
    bad: int = 0
    repeated: int = 0
    late: int = 0


class WireSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How clean the incoming streams are; shares are of records.

    Attributes:
        repeated_share: sent once more, within ``delay_us``.
        late_share: held up by at most ``delay_us``, of the records that may be late; others overtake them.
        bad_share: bad records sent in addition.
        delay_us: the longest delay.
    """

    repeated_share: float = 0.005
    late_share: float = 0.01
    bad_share: float = 0.001
    delay_us: int = 1_800_000_000


class Agenda:
    """The queue of moments.

    Attributes:
        now: the moment reached (µs).
        ends_us: entries later than this are never reached; None: no end. May be set while it runs.
    """

    def __init__(self, start_us: int) -> None:
        self.now = start_us
        self.ends_us: int | None = None
        self._entries: list[tuple[int, int, Emission | Callable[[], None]]] = []
        self._numbers = itertools.count()

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Enter an action for a moment; one in the past happens now."""
        self._enter(when, action)

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Enter an action for ``delay`` µs from now."""
        self._enter(self.now + delay, action)

    def emit(self, when: float, topic: str, key: str, record: Record) -> None:
        """Enter a record to leave at a moment; one in the past leaves now."""
        moment = max(self.now, int(when))
        self._enter(moment, Emission(moment, topic, key, record))

    def run(self, before_each: Callable[[], None]) -> Iterator[Emission]:
        """Carry out what is entered and yield what leaves, until the end or until nothing is left.

        Args:
            before_each: called before each entry is taken; may enter more.
        """
        entries = self._entries
        while True:
            before_each()
            if not entries or (self.ends_us is not None and entries[0][0] > self.ends_us):
                return
            when, _, entry = heapq.heappop(entries)
            self.now = when
            if isinstance(entry, Emission):
                yield entry
            else:
                entry()

    def _enter(self, when: float, entry: Emission | Callable[[], None]) -> None:
        heapq.heappush(self._entries, (max(self.now, int(when)), next(self._numbers), entry))


class Wire:
    """Sends records and does to them what real wires do: some arrive twice, some late, and now and then a bad one.

    Args:
        agenda: where records leave.
        settings: how often.
        chance: owned by the wire from now on.
        run_id: part of each event id, so that two runs on one cluster do not suppress each other's records.
    """

    def __init__(self, agenda: Agenda, settings: WireSettings, chance: random.Random, run_id: str) -> None:
        self.tally = Tally()
        self._agenda = agenda
        self._settings = settings
        self._chance = chance
        self._run_id = run_id
        self._numbers = itertools.count(1)

    def next_id(self) -> str:
        """Return an event id that no other record of this run has."""
        return f"{self._run_id}-{next(self._numbers)}"

    def send(self, topic: str, key: str, record: GoodRecord, *, may_be_late: bool = False) -> None:
        """Send one record now."""
        agenda, settings, chance = self._agenda, self._settings, self._chance
        leaves = float(agenda.now)
        if may_be_late and chance.random() < settings.late_share:
            leaves += chance.random() * settings.delay_us
            self.tally.late += 1
        agenda.emit(leaves, topic, key, record)
        self._count(record)
        if chance.random() < settings.repeated_share:
            agenda.emit(leaves + chance.random() * settings.delay_us, topic, key, record)
            self.tally.repeated += 1
            self.tally.records += 1
        if chance.random() < settings.bad_share:
            agenda.emit(leaves, *self._bad())
            self.tally.bad += 1
            self.tally.records += 1

    def _count(self, record: GoodRecord) -> None:
        tally = self.tally
        tally.records += 1
        if isinstance(record, InventoryScan):
            tally.scans += 1
        elif isinstance(record, AsnEvent):
            tally.asns += 1
        elif record.type is OrderAction.PLACED:
            tally.orders += 1
            tally.order_lines += len(record.lines)
            tally.units += sum(line.quantity for line in record.lines)
        elif record.type is OrderAction.AMENDED:
            tally.amendments += 1
        else:
            tally.cancellations += 1

    def _bad(self) -> tuple[str, str, Record]:
        """Return one bad record; each kind is wrong for another reason, and none names a real SKU, order or ASN."""
        identity, now = self.next_id(), self._agenda.now
        scan = InventoryScan(
            event_id=identity, occurred_at=now, type=ScanType.RECEIVED, sku="SKU-BAD", location="WH-1", quantity=1
        )
        lines = (OrderLine(line_id="1", sku="SKU-BAD", quantity=1),)
        order = OrderEvent(
            event_id=identity,
            occurred_at=now,
            type=OrderAction.PLACED,
            order_id=f"bad-{identity}",
            order_version=1,
            accepted_at=now,
            customer_id="nobody",
            lines=lines,
        )
        asn = AsnEvent(
            event_id="",
            occurred_at=now,
            type=AsnAction.ANNOUNCED,
            asn_id=f"bad-{identity}",
            asn_version=1,
            supplier_id="nobody",
            location="WH-1",
            eta=now,
        )
        kinds: tuple[tuple[str, str, Record], ...] = (
            (ORDERS, f"bad-{identity}", b"\xde\xad\xbe\xef not a record"),
            (SCANS, "SKU-BAD", b'{"event_id": "cut off'),
            (SCANS, "SKU-BAD", msgspec.structs.replace(scan, quantity=-3)),
            (SCANS, "SKU-BAD", msgspec.structs.replace(scan, type=ScanType.PICKED)),
            (ORDERS, order.order_id, msgspec.structs.replace(order, lines=lines * 2)),
            (ORDERS, order.order_id, msgspec.structs.replace(order, accepted_at=None)),
            (ASNS, asn.asn_id, asn),
        )
        return self._chance.choice(kinds)
