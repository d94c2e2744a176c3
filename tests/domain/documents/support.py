"""A desk in memory and short ways to say what reaches it."""

import msgspec

from bostream.domain.cause import Cause
from bostream.domain.documents.desk import Desk, DeskRules
from bostream.domain.documents.events import (
    AsnAction,
    AsnReceived,
    DocumentEvent,
    LineReported,
    OrderAction,
    OrderReceived,
    WantedLine,
)
from bostream.domain.documents.handle import fire, handle
from bostream.domain.documents.outcomes import DemandSent, InboundSent, Notice, NoticeIssued, Outcome, RefreshSent
from bostream.domain.keys import pack
from bostream.domain.sku.events import DemandChanged, InboundChanged, LineRefreshed, Terms
from bostream.domain.state import TIMERS
from bostream.testing.memory import MemoryState

SECOND = 1_000_000
DAY = 86_400 * SECOND
ACCEPTED = 100 * SECOND


class DeskInMemory:
    """A desk that keeps log time, fires due timers first, and collects all outcomes."""

    def __init__(self, rules: DeskRules | None = None) -> None:
        self.state = MemoryState()
        self.desk = Desk(self.state, rules or DeskRules())
        self.log_time = 0
        self.outcomes: list[Outcome] = []

    def tell(self, event: DocumentEvent, at: int | None = None) -> list[Outcome]:
        """Handle one event at this log time; return what followed from the event itself."""
        self.pass_time(self.log_time if at is None else at)
        outcomes = list(handle(self.desk, event, self.log_time))
        self.outcomes += outcomes
        return outcomes

    def pass_time(self, now: int) -> list[Outcome]:
        """Fire what is due; return what followed."""
        outcomes: list[Outcome] = []
        timers = self.state.table(TIMERS)
        while (row := next(timers.scan(b""), None)) is not None and row[1].due <= now:
            timers.delete(row[0])
            outcomes += fire(self.desk, row[1], row[1].due)
        self.log_time = max(self.log_time, now)
        self.outcomes += outcomes
        return outcomes

    def wanted(self, order_id: str = "O1") -> dict[tuple[str, str], int]:
        """What the books were asked for in total, by (line, SKU), without zeros."""
        total: dict[tuple[str, str], int] = {}
        for demand in demands(self.outcomes):
            for line in demand.lines if demand.order_id == order_id else ():
                key = (line.line_id, demand.sku)
                total[key] = 0 if line.ends else total.get(key, 0) + line.add - line.cancel
        return {key: quantity for key, quantity in total.items() if quantity}

    def rows(self) -> dict[tuple[int, bytes], bytes]:
        """Everything that the desk remembers, encoded."""
        return {key: msgspec.msgpack.encode(row) for key, row in self.state.rows().items()}

    def knows_order(self, order_id: str = "O1") -> bool:
        return (2, pack(order_id)) in self.state.rows()


def demands(outcomes: list[Outcome]) -> list[DemandChanged]:
    return [outcome.demand for outcome in outcomes if isinstance(outcome, DemandSent)]


def inbound(outcomes: list[Outcome]) -> list[InboundChanged]:
    return [outcome.inbound for outcome in outcomes if isinstance(outcome, InboundSent)]


def refreshes(outcomes: list[Outcome]) -> list[LineRefreshed]:
    return [outcome.refresh for outcome in outcomes if isinstance(outcome, RefreshSent)]


def notices(outcomes: list[Outcome]) -> list[Notice]:
    return [outcome.notice for outcome in outcomes if isinstance(outcome, NoticeIssued)]


def order(
    version: int,
    *lines: tuple[str, str, int],
    action: OrderAction | None = None,
    order_id: str = "O1",
    event_id: str = "",
    occurred_at: int = 200 * SECOND,
    accepted_at: int = ACCEPTED,
    priority: int = 5,
    locations: tuple[str, ...] = (),
) -> OrderReceived:
    """An order document: PLACED as version 1, AMENDED later, unless said otherwise."""
    kind = action or (OrderAction.PLACED if version == 1 else OrderAction.AMENDED)
    cause = Cause(event_id or f"{order_id}-{kind}-{version}", f"orders/{kind}", occurred_at, occurred_at)
    terms = Terms(version, accepted_at, customer_id="C1", priority=priority, locations=locations)
    return OrderReceived(cause, order_id, kind, terms, tuple(WantedLine(*line) for line in lines), "oms")


def cancel(version: int, *, order_id: str = "O1", event_id: str = "") -> OrderReceived:
    return order(version, action=OrderAction.CANCELLED, order_id=order_id, event_id=event_id, accepted_at=0)


def asn(
    version: int,
    *lines: tuple[str, str, int],
    action: AsnAction = AsnAction.ANNOUNCED,
    eta: int = 500 * SECOND,
    location: str = "W1",
    event_id: str = "",
) -> AsnReceived:
    cause = Cause(event_id or f"A1-{action}-{version}", f"asns/{action}", 7, 8)
    return AsnReceived(
        cause, "A1", action, version, location, eta, tuple(WantedLine(*line) for line in lines), "S", "erp"
    )


def report(
    *,
    line_id: str = "1",
    sku: str = "S",
    allocated: int = 0,
    shipped: int = 0,
    waiting: int = 0,
    cancelled: int = 0,
    picked: int = 0,
    eta: int | None = None,
    let_go: bool = False,
    cause: str = "scan-1",
    order_id: str = "O1",
) -> LineReported:
    return LineReported(
        Cause(cause, "inventory-scans/RECEIVED", 11, 12),
        order_id,
        line_id,
        sku,
        allocated + shipped + waiting + cancelled,
        allocated,
        picked,
        shipped,
        cancelled,
        waiting,
        eta,
        let_go,
    )
