"""Load for tests: orders and their changes, scans of every kind, notices, repeats and garbage, from a seed.

What must stay true: the same seed gives the same records; few SKUs, so that every record meets others on its book.
"""

import random
from typing import Final

from bostream.contract.records import InputRecord
from bostream.domain.documents.events import AsnAction, OrderAction
from bostream.domain.sku.events import ScanType, ShipPolicy
from tests.integration.harness import Application
from tests.stages.support import DAY, NOON, SECOND, asn, order, scan

SKUS: Final = tuple(f"SKU-{number}" for number in range(8))
LOCATIONS: Final = ("W1", "W2", "W3")

Lines = tuple[tuple[str, str, int], ...]


class Load:
    """An endless stream of input records."""

    def __init__(self, seed: str) -> None:
        self._chance = random.Random(seed)
        self._number = 0
        self._orders: dict[str, tuple[int, Lines]] = {}
        self._asns: dict[str, tuple[int, Lines]] = {}
        self._past: list[InputRecord] = []

    def feed(self, application: Application, count: int) -> None:
        """Send so many records; some are sent twice, some are no records at all."""
        for _ in range(count):
            draw = self._chance.random()
            if draw < 0.02:
                topic = self._chance.choice(("orders", "inventory-scans", "asns"))
                application.send_bytes(topic, f"garbage {self._next()}".encode(), key=b"bad", headers=(("h", b"1"),))
                continue
            if draw < 0.06 and self._past:
                record = self._chance.choice(self._past)
            else:
                record = self._new()
                self._past.append(record)
            application.send(record, key=f"{self._chance.random()}".encode())
        application.flush()

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _new(self) -> InputRecord:
        draw = self._chance.random()
        if draw < 0.40 or not self._orders:
            return self._place()
        if draw < 0.50:
            return self._amend()
        if draw < 0.56:
            return self._cancel()
        if draw < 0.64:
            return self._notice()
        return self._scan()

    def _lines(self) -> Lines:
        chance = self._chance
        skus = chance.sample(SKUS, chance.randint(1, 3))
        return tuple((str(number), sku, chance.randint(1, 6)) for number, sku in enumerate(skus, start=1))

    def _place(self) -> InputRecord:
        chance, number = self._chance, self._next()
        name, lines = f"O{number}", self._lines()
        self._orders[name] = (1, lines)
        return order(
            name,
            *lines,
            at=NOON + number * SECOND,
            accepted_at=NOON + (number - chance.randint(0, 30)) * SECOND,
            priority=chance.randint(0, 9),
            ship_policy=chance.choice((ShipPolicy.PARTIAL, ShipPolicy.PARTIAL, ShipPolicy.LINE_COMPLETE)),
            locations=tuple(chance.sample(LOCATIONS, chance.choice((0, 0, 1, 2)))),
        )

    def _amend(self) -> InputRecord:
        name = self._chance.choice(list(self._orders))
        version, old = self._orders[name]
        lines = tuple((line, sku, max(0, quantity + self._chance.randint(-3, 3))) for line, sku, quantity in old)
        self._orders[name] = (version + 1, lines)
        at = NOON + self._next() * SECOND
        return order(name, *lines, version=version + 1, action=OrderAction.AMENDED, at=at)

    def _cancel(self) -> InputRecord:
        name = self._chance.choice(list(self._orders))
        version, _ = self._orders.pop(name)
        at = NOON + self._next() * SECOND
        return order(name, version=version + 1, action=OrderAction.CANCELLED, at=at)

    def _notice(self) -> InputRecord:
        chance, number = self._chance, self._next()
        eta = NOON + chance.randint(1, 20) * DAY
        location = chance.choice(LOCATIONS)
        if self._asns and chance.random() < 0.4:
            name = chance.choice(list(self._asns))
            version, lines = self._asns[name]
            action = chance.choice((AsnAction.AMENDED, AsnAction.CLOSED))
            self._asns[name] = (version + 1, lines)
            return asn(name, *lines, version=version + 1, action=action, eta=eta, location=location)
        name, lines = f"A{number}", self._lines()
        self._asns[name] = (1, lines)
        return asn(name, *lines, eta=eta, location=location, at=NOON + number * SECOND)

    def _scan(self) -> InputRecord:
        chance, number = self._chance, self._next()
        sku, location, units = chance.choice(SKUS), chance.choice(LOCATIONS), chance.randint(1, 12)
        at = NOON + number * SECOND
        name = f"scan-{number}"
        draw = chance.random()
        if draw < 0.55:
            notice = None
            if self._asns and chance.random() < 0.5:
                asn_id = chance.choice(list(self._asns))
                line, sku, _ = chance.choice(self._asns[asn_id][1])
                notice = (asn_id, line)
            return scan(ScanType.RECEIVED, units, sku=sku, location=location, at=at, asn=notice, event_id=name)
        if draw < 0.65:
            expected = chance.choice((None, units + 2))
            return scan(ScanType.COUNTED, units, sku=sku, location=location, at=at, expected=expected, event_id=name)
        if draw < 0.75:
            kind = chance.choice((ScanType.ADJUSTED, ScanType.RETURNED, ScanType.QUARANTINED, ScanType.TRANSFERRED_OUT))
            return scan(kind, chance.randint(1, 3), sku=sku, location=location, at=at, event_id=name)
        order_id = chance.choice(list(self._orders))
        line, sku, _ = chance.choice(self._orders[order_id][1])
        kind = chance.choice((ScanType.PICKED, ScanType.PICKED, ScanType.SHIPPED, ScanType.SHORTED))
        return scan(kind, chance.randint(1, 2), sku=sku, location=location, at=at, line=(order_id, line), event_id=name)
