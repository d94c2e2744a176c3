"""Random histories of a few orders, SKUs and locations, with numbers so small that everything collides.

A history is drawn as a list of small steps, which Hypothesis can drop and lower one by one, and is then turned into
the events that the document desk and the intake would send for them: what an order asked for before, for instance, is
the desk's knowledge, so a step can only amend an order that was placed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from hypothesis import strategies as st

from bostream.domain.cause import Cause
from bostream.domain.sku.events import (
    DemandChanged,
    DemandReason,
    InboundChanged,
    InboundLine,
    LineDemand,
    ScanType,
    ShipPolicy,
    SkuEvent,
    StockScanned,
    Terms,
)

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
START = 20_000 * DAY

SKUS = ("S1", "S2")
ORDERS = ("A", "B", "C", "D")
LINES = ("1", "2")
LOCATIONS = ("W1", "W2", "W3")
LISTS = ((), (), ("W1",), ("W2",), ("W2", "W1"), ("W3", "W1"))
ASNS = ("N", "M")

OF_A_LINE = (ScanType.PICKED, ScanType.UNPICKED, ScanType.SHIPPED, ScanType.SHORTED)
OF_STOCK = tuple(kind for kind in ScanType if kind not in OF_A_LINE)

PARTS = 8
"""Lists of steps in a history; each has a handful on average."""

Moment = tuple[int, SkuEvent]
"""(log time, event)."""


@dataclass(frozen=True)
class Place:
    """Place an order of these quantities by (SKU, line); a placed one gets its new whole document."""

    order: str
    quantities: tuple[tuple[str, str, int], ...]
    priority: int
    accepted: int
    ship_policy: ShipPolicy
    locations: tuple[str, ...]


@dataclass(frozen=True)
class Raise:
    """Change the quantity of one line of a placed order by so much, down to 0; ``aim`` as in :class:`Scan`."""

    order: str
    sku: str
    line: str
    aim: int | None
    change: int


@dataclass(frozen=True)
class Cancel:
    """Cancel a placed order."""

    order: str


@dataclass(frozen=True)
class Scan:
    """One scan.

    ``aim``: which of the lines known so far it names, counted round; None: the order and line as drawn, known or not.
    ``is_next``: it names the line and the location of the last scan of a line, whatever ``aim`` says.
    ``age``: how many seconds before its log time it happened.
    """

    kind: ScanType
    sku: str
    location: str
    quantity: int
    order: str
    line: str
    aim: int | None
    is_next: bool
    expected: int | None
    asn: tuple[str, str] | None
    age: int


@dataclass(frozen=True)
class Repeat:
    """Send a scan again: the one so many scans ago."""

    back: int


@dataclass(frozen=True)
class Announce:
    """State an ASN on one SKU."""

    asn: str
    sku: str
    location: str
    hours: int
    quantities: tuple[int, ...]
    closed: bool


@dataclass(frozen=True)
class Wait:
    """Let log time pass."""

    seconds: int


Step = Place | Raise | Cancel | Scan | Repeat | Announce | Wait


# --- what steps there are

# Most things happen in one place, so that they meet.
_OFTEN_THE_FIRST_SKU = st.sampled_from((*[SKUS[0]] * 7, SKUS[1]))
_OFTEN_THE_FIRST_LINE = st.sampled_from((*[LINES[0]] * 3, LINES[1]))
_OFTEN_THE_FIRST_LOCATION = st.sampled_from((*[LOCATIONS[0]] * 4, *[LOCATIONS[1]] * 2, LOCATIONS[2]))
_AIM = st.one_of(st.integers(0, 7), st.integers(0, 7), st.integers(0, 7), st.none())


def _place() -> st.SearchStrategy[Step]:
    quantity = st.integers(1, 4)
    line = st.tuples(_OFTEN_THE_FIRST_SKU, _OFTEN_THE_FIRST_LINE, quantity)
    return st.builds(
        Place,
        st.sampled_from(ORDERS),
        st.lists(line, min_size=1, max_size=3, unique_by=lambda item: item[:2]).map(lambda items: tuple(sorted(items))),
        st.integers(4, 6),
        st.integers(0, 3),
        st.sampled_from((ShipPolicy.PARTIAL, ShipPolicy.PARTIAL, ShipPolicy.LINE_COMPLETE)),
        st.sampled_from(LISTS),
    )


def _scan(kinds: Iterable[ScanType], most: int) -> st.SearchStrategy[Step]:
    return st.builds(
        Scan,
        st.sampled_from(tuple(kinds)),
        _OFTEN_THE_FIRST_SKU,
        _OFTEN_THE_FIRST_LOCATION,
        st.integers(1, most),
        st.sampled_from(ORDERS),
        _OFTEN_THE_FIRST_LINE,
        _AIM,
        st.booleans(),
        st.none() | st.integers(0, 5),
        st.none() | st.tuples(st.sampled_from(ASNS), st.sampled_from(LINES)),
        st.integers(0, 3),
    )


def _announce() -> st.SearchStrategy[Step]:
    return st.builds(
        Announce,
        st.sampled_from(ASNS),
        _OFTEN_THE_FIRST_SKU,
        _OFTEN_THE_FIRST_LOCATION,
        st.integers(0, 60),
        st.tuples(st.integers(0, 6), st.integers(0, 6)) | st.tuples(st.integers(0, 6)) | st.just(()),
        st.sampled_from((*[False] * 5, True)),
    )


def steps(*, waits: bool) -> st.SearchStrategy[list[Step]]:
    """Return lists of steps; ``waits``: whether days may pass, so that what is remembered ends."""
    raises: st.SearchStrategy[Step] = st.builds(
        Raise, st.sampled_from(ORDERS), _OFTEN_THE_FIRST_SKU, _OFTEN_THE_FIRST_LINE, _AIM, st.integers(-4, 3)
    )
    cancels: st.SearchStrategy[Step] = st.builds(Cancel, st.sampled_from(ORDERS))
    repeats: st.SearchStrategy[Step] = st.builds(Repeat, st.integers(1, 8))
    weighted = [
        *[_place()] * 5,
        *[_scan((ScanType.RECEIVED, ScanType.RECEIVED, ScanType.RECEIVED, ScanType.COUNTED), most=9)] * 5,
        *[raises] * 4,
        *[_scan((ScanType.PICKED, *OF_A_LINE), most=3)] * 6,
        *[_scan(OF_STOCK, most=5)] * 3,
        *[_announce()] * 3,
        cancels,
        repeats,
    ]
    if waits:
        weighted.append(st.builds(Wait, st.sampled_from((3 * DAY, 8 * DAY, 31 * DAY)).map(lambda us: us // SECOND)))
    # Hypothesis keeps a list short, a handful of steps on average; a history is several of them.
    part = st.lists(st.one_of(weighted), max_size=12)
    return st.tuples(*[part] * PARTS).map(lambda parts: [step for steps in parts for step in steps])


# --- from steps to events


@dataclass
class _Order:
    """What the desk knows of an order: its last document."""

    terms: Terms
    wanted: dict[tuple[str, str], int] = field(default_factory=dict)
    is_cancelled: bool = False


@dataclass
class _World:
    """The senders' side of a history."""

    now: int = START
    numbers: int = 0
    orders: dict[str, _Order] = field(default_factory=dict)
    lines: dict[tuple[str, str, str], None] = field(default_factory=dict)
    scans: list[tuple[int, StockScanned]] = field(default_factory=list)
    history: list[Moment] = field(default_factory=list)

    def cause(self, kind: str, age: int = 0) -> Cause:
        self.numbers += 1
        return Cause(f"e{self.numbers}", kind, self.now - age * SECOND, self.now)

    def aimed(self, step: Scan | Raise) -> tuple[str, str, str]:
        """Return (SKU, order, line) that a step names."""
        if step.aim is None or not self.lines:
            return step.sku, step.order, step.line
        return list(self.lines)[step.aim % len(self.lines)]

    def last_of_a_line(self) -> StockScanned | None:
        """Return the newest scan of a line."""
        return next((scan for _, scan in reversed(self.scans) if scan.type in OF_A_LINE), None)

    def send(self, event: SkuEvent) -> None:
        self.history.append((self.now, event))


def history_of(taken: Iterable[Step], *, repeat_horizon: int = 7 * DAY) -> list[Moment]:
    """Turn steps into the events of a log.

    Args:
        taken: the steps.
        repeat_horizon: scans are only repeated within this time (µs); later ones would be new (I8).
    """
    world = _World()
    for step in taken:
        world.now += SECOND
        match step:
            case Place():
                _do_place(world, step)
            case Raise():
                _do_raise(world, step)
            case Cancel():
                _do_cancel(world, step)
            case Scan():
                scan = _scanned(world, step)
                world.scans.append((world.now, scan))
                world.send(scan)
            case Repeat():
                if step.back <= len(world.scans) and world.scans[-step.back][0] > world.now - repeat_horizon:
                    world.send(world.scans[-step.back][1])
            case Announce():
                _do_announce(world, step)
            case Wait():
                world.now += step.seconds * SECOND
            case _:
                assert_never(step)
    return world.history


def _do_place(world: _World, step: Place) -> None:
    """A whole document: the first of an order places it, later ones amend it by the difference to the last."""
    order = world.orders.get(step.order)
    if order is not None and order.is_cancelled:
        return
    reason = DemandReason.ORDER_PLACED if order is None else DemandReason.ORDER_AMENDED
    accepted_at = START - HOUR + step.accepted * SECOND if order is None else order.terms.accepted_at
    version = 1 if order is None else order.terms.order_version + 1
    terms = Terms(
        version, accepted_at, "", "", "", step.priority, ship_policy=step.ship_policy, locations=step.locations
    )
    if order is None:
        order = world.orders[step.order] = _Order(terms)
    order.terms = terms
    wanted = dict.fromkeys(order.wanted, 0) | {(sku, line): quantity for sku, line, quantity in step.quantities}
    _amend(world, step.order, wanted, reason)


def _do_raise(world: _World, step: Raise) -> None:
    sku, order_id, line_id = world.aimed(step)
    order = world.orders.get(order_id)
    if order is None or order.is_cancelled:
        return
    before = order.wanted.get((sku, line_id), 0)
    wanted = order.wanted | {(sku, line_id): max(0, before + step.change)}
    if wanted != order.wanted:
        _amend(world, order_id, wanted, DemandReason.ORDER_AMENDED)


def _do_cancel(world: _World, step: Cancel) -> None:
    order = world.orders.get(step.order)
    if order is None or order.is_cancelled:
        return
    order.is_cancelled = True
    _amend(world, step.order, dict.fromkeys(order.wanted, 0), DemandReason.ORDER_CANCELLED)


def _amend(world: _World, order_id: str, wanted: dict[tuple[str, str], int], reason: DemandReason) -> None:
    """Tell each SKU of the order what changed, as the desk does; lines that did not change carry the new terms."""
    order = world.orders[order_id]
    first = reason is DemandReason.ORDER_PLACED
    seniority = order.terms.accepted_at if first else max(world.now, order.terms.accepted_at)
    before, order.wanted = order.wanted, wanted
    for sku in SKUS:
        lines = tuple(
            _demand(line, before.get((sku, line), 0), wanted.get((sku, line), 0), seniority)
            for line in LINES
            if before.get((sku, line), 0) > 0 or wanted.get((sku, line), 0) > 0
        )
        if lines:
            world.lines |= dict.fromkeys((sku, order_id, line.line_id) for line in lines)
            cause = world.cause(f"orders/{reason.removeprefix('ORDER_')}")
            world.send(DemandChanged(cause, sku, order_id, reason, order.terms, lines))


def _demand(line: str, before: int, after: int, seniority: int) -> LineDemand:
    if after == 0:
        return LineDemand(line, ends=True)
    if after > before:
        return LineDemand(line, add=after - before, seniority=seniority)
    return LineDemand(line, cancel=before - after)


def _scanned(world: _World, step: Scan) -> StockScanned:
    of_a_line = step.kind in OF_A_LINE
    received = step.kind is ScanType.RECEIVED
    sku, order_id, line_id = world.aimed(step) if of_a_line else (step.sku, step.order, step.line)
    location = step.location
    if of_a_line and step.is_next and (last := world.last_of_a_line()):
        sku, order_id, line_id, location = last.sku, last.order_id or "", last.line_id or "", last.location
    quantity = step.quantity
    if step.kind is ScanType.COUNTED:
        quantity -= 1
    elif step.kind is ScanType.ADJUSTED and step.expected is not None:
        quantity = -quantity
    return StockScanned(
        world.cause(f"inventory-scans/{step.kind}", step.age),
        sku,
        step.kind,
        location,
        quantity,
        expected_quantity=step.expected if step.kind is ScanType.COUNTED else None,
        order_id=order_id if of_a_line else None,
        line_id=line_id if of_a_line else None,
        asn_id=step.asn[0] if received and step.asn else None,
        asn_line_id=step.asn[1] if received and step.asn else None,
    )


def _do_announce(world: _World, step: Announce) -> None:
    lines = tuple(InboundLine(str(number), quantity) for number, quantity in enumerate(step.quantities, start=1))
    eta = START + step.hours * HOUR
    cause = world.cause("asns/CLOSED" if step.closed else "asns/AMENDED")
    world.send(InboundChanged(cause, step.sku, step.asn, step.location, eta, lines, step.closed))


# --- for people


def told(history: Iterable[Moment]) -> str:
    """Return a history as text, one event a line."""
    return "\n".join(f"{number:3} +{at - START:>14,} {_said(event)}" for number, (at, event) in enumerate(history))


def _said(event: SkuEvent) -> str:
    match event:
        case DemandChanged(terms=terms):
            lines = ", ".join(_demand_said(line) for line in event.lines)
            where = ">".join(terms.locations) or "any"
            policy = "" if terms.ship_policy is ShipPolicy.PARTIAL else f" {terms.ship_policy}"
            return (
                f"{event.sku} {event.reason} {event.order_id} "
                f"(priority {terms.priority}, accepted {terms.accepted_at - START:,}, at {where}{policy}): {lines}"
            )
        case StockScanned():
            whose = f" for {event.order_id}/{event.line_id}" if event.order_id else ""
            asn = f" of {event.asn_id}/{event.asn_line_id}" if event.asn_id else ""
            expected = "" if event.expected_quantity is None else f" expected {event.expected_quantity}"
            happened = f" happened {event.cause.occurred_at - START:,}" if whose else ""
            return (
                f"{event.sku} {event.type} {event.quantity} at {event.location}{expected}{whose}{asn}"
                f"{happened} [{event.cause.event_id}]"
            )
        case InboundChanged():
            lines = ", ".join(f"{line.line_id}: {line.quantity}" for line in event.lines)
            state = "closed" if event.closed else f"eta {event.eta - START:,}"
            return f"{event.sku} ASN {event.asn_id} at {event.location} {state}: {lines or 'no lines'}"
        case _:
            return repr(event)


def _demand_said(line: LineDemand) -> str:
    if line.ends:
        return f"{line.line_id} ends"
    change = f"+{line.add} (seniority {line.seniority - START:,})" if line.add else f"-{line.cancel}"
    return f"{line.line_id} {change}"
