"""Why something happens: the public input record behind an internal event."""

import msgspec


class Cause(msgspec.Struct, frozen=True, array_like=True):
    """The public input record behind an internal event; travels with it through every log.

    Attributes:
        event_id: the input record's own id.
        type: ``topic/TYPE``, e.g. ``orders/PLACED``.
        occurred_at: when it happened, as the producer says (µs, UTC).
        received_at: the public record's Kafka timestamp (µs, UTC): the start of the latency clock.
        traceparent, tracestate: W3C trace context, passed on untouched; empty when the record had none.
    """

    event_id: str
    type: str
    occurred_at: int
    received_at: int
    traceparent: str = ""
    tracestate: str = ""
