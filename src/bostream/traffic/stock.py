"""What really lies in the generated warehouses: the world that the scans report on.

What must stay true: a unit enters or leaves only together with a scan that says so, so that the ledger equals what a
reader of all scans would compute; and each SKU's position = on hand + on order − open demand, the one number that a
base-stock policy steers by.
"""

import hashlib
import random

import msgspec

from bostream.contract.records import InventoryScan
from bostream.domain.sku.events import ScanType
from bostream.traffic.agenda import SCANS, Agenda, Wire

_SHARES_PER_HASH = 1 << 32


class Item(msgspec.Struct, eq=False):
    """One SKU in the world.

    Attributes:
        sku: its id.
        homes: where its supply arrives, main home first; slow SKUs have one.
        supplier: who delivers it.
        roll: fixed in [0, 1): decides how its base-stock level is rounded.
        position: on hand + on order − open demand, in units.
        on_hand: units by location, as scanned.
        demanded: units ever demanded (net of cancellations).
        bound_to_main: units asked for since the last review that only the main home may serve.
        managed: False takes it out of the base-stock policy.
    """

    sku: str
    homes: tuple[str, ...]
    supplier: str
    roll: float
    position: int = 0
    on_hand: dict[str, int] = msgspec.field(default_factory=dict)
    demanded: int = 0
    bound_to_main: int = 0
    managed: bool = True


class StockLedger:
    """All items that were ever touched, and the scans that move them.

    Args:
        agenda, wire: where the scans go.
        warehouses: ids, at least one.
        suppliers: how many there are.
        second_home_share: share of SKUs with a second home.
    """

    def __init__(
        self, agenda: Agenda, wire: Wire, *, warehouses: tuple[str, ...], suppliers: int, second_home_share: float
    ) -> None:
        self.items: dict[str, Item] = {}
        self._opened: list[Item] = []
        self._agenda = agenda
        self._wire = wire
        self._warehouses = warehouses
        self._suppliers = suppliers
        self._second_home_share = second_home_share

    def add(self, sku: str) -> Item:
        """Make the item of a SKU that has none yet; its homes and supplier follow from its id alone."""
        item = Item(
            sku=sku,
            homes=self.homes(sku),
            supplier=f"supplier-{int(share_of(sku, 'supplier') * self._suppliers) + 1:02d}",
            roll=share_of(sku, "roll"),
        )
        self.items[sku] = item
        self._opened.append(item)
        return item

    def homes(self, sku: str) -> tuple[str, ...]:
        """Return where supply of a SKU arrives, main home first."""
        houses = self._warehouses
        first = int(share_of(sku, "home") * len(houses))
        if len(houses) > 1 and share_of(sku, "second") < self._second_home_share:
            return houses[first], houses[(first + 1) % len(houses)]
        return (houses[first],)

    def any_item(self, chance: random.Random) -> Item | None:
        """Return some item, or None while there is none."""
        return chance.choice(self._opened) if self._opened else None

    def scan(
        self,
        item: Item,
        type_: ScanType,
        location: str,
        quantity: int,
        *,
        order_id: str | None = None,
        line_id: str | None = None,
        asn_id: str | None = None,
        asn_line_id: str | None = None,
        expected: int | None = None,
        reason: str = "",
        may_be_late: bool = False,
    ) -> None:
        """Send one scan and move the ledger as it says. The caller keeps the position."""
        before = item.on_hand.get(location, 0)
        item.on_hand[location] = _after(type_, before, quantity, expected)
        record = InventoryScan(
            event_id=self._wire.next_id(),
            occurred_at=self._agenda.now,
            source="wms",
            type=type_,
            sku=item.sku,
            location=location,
            quantity=quantity,
            expected_quantity=expected,
            order_id=order_id,
            line_id=line_id,
            asn_id=asn_id,
            asn_line_id=asn_line_id,
            reason=reason,
        )
        self._wire.send(SCANS, item.sku, record, may_be_late=may_be_late)


def share_of(subject: str, purpose: str) -> float:
    """Return a number in [0, 1) that looks random but is fixed by the two words, on every machine."""
    digest = hashlib.blake2b(f"{purpose}/{subject}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / _SHARES_PER_HASH


_INCOMING = frozenset(
    {ScanType.RECEIVED, ScanType.RETURNED, ScanType.ADJUSTED, ScanType.UNQUARANTINED, ScanType.TRANSFERRED_IN}
)
_OUTGOING = frozenset({ScanType.SHIPPED, ScanType.SHORTED, ScanType.QUARANTINED, ScanType.TRANSFERRED_OUT})


def _after(type_: ScanType, before: int, quantity: int, expected: int | None) -> int:
    if type_ in _INCOMING:
        return before + quantity
    if type_ in _OUTGOING:
        return before - quantity
    if type_ is ScanType.COUNTED:
        return quantity if expected is None else before + quantity - expected
    return before
