"""Demand and inbound in the SKUs log against the newest documents in the documents log.

What must stay true: the newest document is found in the obvious way, by version in log order; what the SKUs log says
is simply added up. Orders and ASNs with events after the cut, or so far apart that one may have been forgotten in
between, are left out and counted.
"""

import msgspec

from bostream.audit.findings import Findings, Kind, Place
from bostream.audit.source import StoredRecord, place_of
from bostream.domain.documents.events import AsnAction, AsnReceived, OrderAction, OrderReceived, WantedLine
from bostream.domain.sku.events import DemandChanged, InboundChanged

_DOCUMENTS = (OrderAction.PLACED, OrderAction.AMENDED)
_NOTICES = (AsnAction.ANNOUNCED, AsnAction.AMENDED)
_ENDS = (AsnAction.CANCELLED, AsnAction.CLOSED)

Notice = tuple[str, int, tuple[tuple[str, int], ...], bool]
"""Of one ASN on one SKU: location, eta, (line, quantity) by line, whether it is closed."""


class DemandRules(msgspec.Struct, frozen=True):
    """How long the desk remembers, in µs of log time.

    Attributes:
        duplicate_horizon: an event id within it has no second effect.
        retention: a document at rest for longer may have been forgotten.
    """

    duplicate_horizon: int
    retention: int


class _Document:
    """What is known of one order or ASN."""

    __slots__ = ("applied", "ended", "event", "last_time", "place", "unsure", "version")

    def __init__(self) -> None:
        self.version: int | None = None
        self.event: OrderReceived | AsnReceived | None = None
        self.ended = False
        self.unsure = False
        self.last_time = 0
        self.applied: list[tuple[str, str, int]] = []
        self.place = Place("")

    def is_news(self, source: str, event_id: str, version: int, log_time: int, rules: DemandRules) -> bool:
        """Whether this event takes effect: its id is new within the horizon, its version above the watermark."""
        if self.version is not None and log_time - self.last_time >= rules.retention:
            self.unsure = True
        self.last_time = log_time
        horizon = log_time - rules.duplicate_horizon
        if any(one[:2] == (source, event_id) and one[2] >= horizon for one in self.applied):
            return False
        if self.version is not None and version <= self.version:
            return False
        self.version = version
        self.applied.append((source, event_id, log_time))
        return True


class Demand:
    """Compares both logs.

    Args:
        rules: how long the desk remembers.
        findings: added to.
    """

    def __init__(self, rules: DemandRules, findings: Findings) -> None:
        self._rules = rules
        self._findings = findings
        self._orders: dict[str, _Document] = {}
        self._asns: dict[str, _Document] = {}
        self._asked: dict[tuple[str, str, str], int] = {}
        self._told: dict[tuple[str, str], Notice] = {}

    # --- the documents log

    def add_order(self, record: StoredRecord, event: OrderReceived, log_time: int, *, is_past_cut: bool) -> None:
        """Take in an order event, in offset order within each partition."""
        if event.action not in (*_DOCUMENTS, OrderAction.CANCELLED):
            return
        order = self._orders.setdefault(event.order_id, _Document())
        if is_past_cut:
            order.unsure = True
        version = event.terms.order_version
        if not order.is_news(event.source, event.cause.event_id, version, log_time, self._rules) or order.ended:
            return
        order.place = place_of(record)
        if event.action is OrderAction.CANCELLED:
            order.ended = True
        else:
            order.event = event

    def add_asn(self, record: StoredRecord, event: AsnReceived, log_time: int, *, is_past_cut: bool) -> None:
        """Take in an event of an ASN; ARRIVED changes nothing that a SKU is told."""
        if event.action is AsnAction.ARRIVED:
            return
        asn = self._asns.setdefault(event.asn_id, _Document())
        if is_past_cut:
            asn.unsure = True
        if not asn.is_news(event.source, event.cause.event_id, event.version, log_time, self._rules) or asn.ended:
            return
        asn.place = place_of(record)
        if event.action in _ENDS:
            asn.ended = True
        else:
            asn.event = event

    # --- the SKUs log

    def add_demand(self, event: DemandChanged) -> None:
        """Add up what the books were asked for."""
        for line in event.lines:
            key = (event.order_id, line.line_id, event.sku)
            asked = self._asked.get(key, 0)
            self._asked[key] = 0 if line.ends else asked + line.add - line.cancel

    def add_inbound(self, event: InboundChanged) -> None:
        """Remember what a book was told last of an ASN."""
        lines = tuple(sorted((line.line_id, line.quantity) for line in event.lines))
        self._told[event.asn_id, event.sku] = (event.location, event.eta, lines, event.closed)

    # --- comparison

    def finish(self, skus_log: str) -> None:
        """Compare."""
        left_out = self._finish_orders(skus_log) + self._finish_asns(skus_log)
        if left_out:
            self._findings.limit(
                f"{left_out} lines of orders or ASNs that were changing during the audit, or were quiet for so long "
                "that they may have been forgotten, were not compared with the demand sent for them"
            )
        for known in (self._orders, self._asns, self._asked, self._told):
            known.clear()

    def _finish_orders(self, skus_log: str) -> int:
        wanted: dict[tuple[str, str, str], int] = {}
        for order_id, order in self._orders.items():
            if isinstance(order.event, OrderReceived) and not order.ended:
                for line in order.event.lines:
                    wanted[order_id, line.line_id, line.sku] = line.quantity
        left_out = 0
        for key in wanted.keys() | self._asked.keys():
            order_id, line_id, sku = key
            known = self._orders.get(order_id)
            if known is not None and known.unsure:
                left_out += 1
                continue
            self._findings.compared["order lines"] += 1
            expected, actual = wanted.get(key, 0), self._asked.get(key, 0)
            if expected != actual:
                self._findings.add(
                    Kind.DEMAND_WRONG,
                    Place(skus_log) if known is None else known.place,
                    f"order {order_id}, line {line_id}, SKU {sku}",
                    expected=f"{expected} units, by the order's newest document",
                    actual=f"{actual} units asked for in {skus_log}",
                )
        return left_out

    def _finish_asns(self, skus_log: str) -> int:
        stated: dict[tuple[str, str], Notice] = {}
        for asn_id, asn in self._asns.items():
            if isinstance(asn.event, AsnReceived):
                for sku, lines in _by_sku(asn.event.lines).items():
                    stated[asn_id, sku] = (asn.event.location, asn.event.eta, lines, asn.ended)
        left_out = 0
        for key in stated.keys() | self._told.keys():
            asn_id, sku = key
            known = self._asns.get(asn_id)
            if known is not None and known.unsure:
                left_out += 1
                continue
            self._findings.compared["ASNs of a SKU"] += 1
            expected, actual = stated.get(key), self._told.get(key)
            # A SKU that has no line any more was told so, and need not be told again.
            if expected == actual or (expected is None and actual is not None and not actual[2]):
                continue
            self._findings.add(
                Kind.DEMAND_WRONG,
                Place(skus_log) if known is None else known.place,
                f"ASN {asn_id}, SKU {sku}",
                expected=f"(location, eta, lines, closed) = {expected}",
                actual=f"{actual} told in {skus_log}",
            )
        return left_out


def _by_sku(lines: tuple[WantedLine, ...]) -> dict[str, tuple[tuple[str, int], ...]]:
    grouped: dict[str, list[tuple[str, int]]] = {}
    for line in lines:
        grouped.setdefault(line.sku, []).append((line.line_id, line.quantity))
    return {sku: tuple(sorted(found)) for sku, found in grouped.items()}
