"""Names that effects and records go by: event ids, composite keys, CloudEvents headers.

What must stay true: the same log position and ordinal give the same id for ever, and :func:`split_key` undoes
:func:`join_key` for every list of ids.
"""

import hashlib
from typing import Final
from uuid import UUID

from bostream.contract.json_format import time_to_text

Headers = tuple[tuple[str, bytes], ...]

EVENT_NAMESPACE: Final = UUID("a3e61d1c-4f0a-5d4e-9c53-6a0d6c3f6f1b")
"""Namespace of all our event ids; changing it would change the id of every event ever published."""

EVENT_TYPES: Final = {
    "allocations": "bostream.allocation.v1",
    "notifications": "bostream.notification.v1",
    "backorder-lines": "bostream.backorder-line.v1",
    "stock-positions": "bostream.stock-position.v1",
}
"""``ce_type`` of the records of each output topic, by its name without prefix."""

CAUSE_HEADER: Final = "bostream-cause"
TRACEPARENT_HEADER: Final = "traceparent"
TRACESTATE_HEADER: Final = "tracestate"

_HASHED_NAMESPACE: Final = hashlib.sha1(EVENT_NAMESPACE.bytes, usedforsecurity=False)
_UUID_BITS: Final = 16
_VERSION_CLEARED: Final = ~(0xF000 << 64) & ~(0xC000 << 48)
_VERSION_5_VARIANT_1: Final = (5 << 76) | (0x8000 << 48)


def event_id(topic: str, partition: int, offset: int, ordinal: int) -> str:
    """Return the id of an effect: UUIDv5 over the internal log position that caused it and its ordinal there.

    Equal to ``uuid5(EVENT_NAMESPACE, f"{topic}/{partition}/{offset}/{ordinal}")``, at a third of its cost.
    """
    digest = _HASHED_NAMESPACE.copy()
    digest.update(f"{topic}/{partition}/{offset}/{ordinal}".encode())
    number = int.from_bytes(digest.digest()[:_UUID_BITS], "big")
    text = f"{number & _VERSION_CLEARED | _VERSION_5_VARIANT_1:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def join_key(*ids: str) -> str:
    """Join ids with ``/``, percent-encoding ``%`` and ``/`` inside them."""
    return "/".join([one.replace("%", "%25").replace("/", "%2F") for one in ids])


def split_key(key: str) -> tuple[str, ...]:
    """Return the ids of a key made by :func:`join_key`."""
    return tuple([part.replace("%2F", "/").replace("%25", "%") for part in key.split("/")])


class EventHeaders:
    """CloudEvents binary-mode headers of one output topic, with all that never changes prepared.

    Args:
        app: the application's name; ``ce_source`` is ``/bostream/{app}``.
        topic: output topic without prefix; decides ``ce_type``.
        content_type: of the values.
    """

    def __init__(self, app: str, topic: str, content_type: str) -> None:
        self._fixed: Headers = (
            ("ce_specversion", b"1.0"),
            ("ce_source", f"/bostream/{app}".encode()),
            ("ce_type", EVENT_TYPES[topic].encode()),
            ("content-type", content_type.encode()),
        )

    def of(
        self,
        *,
        event_id: str,
        occurred_at: int,
        subject: str,
        cause_event_id: str,
        traceparent: str = "",
        tracestate: str = "",
    ) -> Headers:
        """Return the headers of one record.

        Args:
            event_id: the record's own id.
            occurred_at: µs, UTC.
            subject: what it is about: the record's key.
            cause_event_id: id of the input record behind it.
            traceparent: W3C trace context of that input, passed on untouched; left out when empty.
            tracestate: the same; never without ``traceparent``.
        """
        headers = (
            *self._fixed,
            ("ce_id", event_id.encode()),
            ("ce_time", time_to_text(occurred_at).encode()),
            ("ce_subject", subject.encode()),
            (CAUSE_HEADER, cause_event_id.encode()),
        )
        if not traceparent:
            return headers
        headers = (*headers, (TRACEPARENT_HEADER, traceparent.encode()))
        return (*headers, (TRACESTATE_HEADER, tracestate.encode())) if tracestate else headers
