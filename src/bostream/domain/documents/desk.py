"""The desk: the tables of one partition and the constants of its rules.

What must stay true: nothing here decides anything.
"""

import msgspec

from bostream.domain.documents.state import ASNS, ORDERS, AppliedEvent, AsnDocument, OrderDocument
from bostream.domain.keys import pack
from bostream.domain.state import TIMERS, State, Timer
from bostream.errors import ConfigurationError, InvariantError

NOTICE = "NOTICE"
"""Timer: an order's notice window ends (R20)."""
FORGET_ORDER = "FORGET_ORDER"
"""Timer: an order may have been settled long enough."""
FORGET_ASN = "FORGET_ASN"
"""Timer: an ASN may have ended long enough ago."""

APPLIED_EVENTS_MAX = 1_000
"""Event ids that a document remembers at most, newest first: who amends an order more often within the horizon still
has the version watermark, which stops every plain repeat."""

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND


class DeskRules(msgspec.Struct, frozen=True):
    """Constants of the desk, all in µs of log time.

    Attributes:
        notice_window: how long changes of an order are collected into one notice (R20); > 0.
        duplicate_horizon: how long an input event id has no second effect (I8).
        closed_retention: how long a closed order or ASN is remembered; not below the horizon, or a late copy of a
            forgotten order would be taken for a new one.

    Raises:
        ConfigurationError: a constant is outside its range.
    """

    notice_window: int = 2 * _SECOND
    duplicate_horizon: int = 7 * _DAY
    closed_retention: int = 30 * _DAY

    def __post_init__(self) -> None:
        """Refuse constants under which the rules would not hold."""
        if self.notice_window <= 0:
            raise ConfigurationError("notice_window must be greater than 0")
        if self.closed_retention < self.duplicate_horizon:
            raise ConfigurationError("closed_retention must not be shorter than duplicate_horizon")


class Desk:
    """All documents of one partition. Reads are free to all; only ``evolve`` writes."""

    def __init__(self, state: State, rules: DeskRules) -> None:
        self.rules = rules
        self._orders = state.table(ORDERS)
        self._asns = state.table(ASNS)
        self._timers = state.table(TIMERS)

    def order(self, order_id: str) -> OrderDocument | None:
        """Return the order, or None when it is not known."""
        return self._orders.get(pack(order_id))

    def known_order(self, order_id: str) -> OrderDocument:
        """Return an order that must be there. Raises InvariantError when it is not."""
        document = self.order(order_id)
        if document is None:
            raise InvariantError(f"order {order_id} is not at the desk")
        return document

    def put_order(self, document: OrderDocument) -> None:
        """Write an order; only ``evolve`` calls this."""
        self._orders.put(pack(document.order_id), document)

    def delete_order(self, order_id: str) -> None:
        """Forget an order; only ``evolve`` calls this."""
        self._orders.delete(pack(order_id))

    def asn(self, asn_id: str) -> AsnDocument | None:
        """Return the ASN, or None when it is not known."""
        return self._asns.get(pack(asn_id))

    def known_asn(self, asn_id: str) -> AsnDocument:
        """Return an ASN that must be there. Raises InvariantError when it is not."""
        document = self.asn(asn_id)
        if document is None:
            raise InvariantError(f"ASN {asn_id} is not at the desk")
        return document

    def put_asn(self, document: AsnDocument) -> None:
        """Write an ASN; only ``evolve`` calls this."""
        self._asns.put(pack(document.asn_id), document)

    def delete_asn(self, asn_id: str) -> None:
        """Forget an ASN; only ``evolve`` calls this."""
        self._asns.delete(pack(asn_id))

    def set_timer(self, due: int, kind: str, subject: str) -> None:
        """Ask to be called at this moment of log time; only ``evolve`` calls this."""
        self._timers.put(pack(due, kind, subject), Timer(due, kind, (subject,)))

    def has_applied(self, applied: list[AppliedEvent], source: str, event_id: str, log_time: int) -> bool:
        """Say whether this input event took effect within the duplicate horizon."""
        horizon = log_time - self.rules.duplicate_horizon
        return any(
            event.event_id == event_id and event.source == source and event.log_time >= horizon for event in applied
        )
