"""A valid value of every public topic, as plain data, and ways to put it into bytes without the code under test."""

import io
import json
from typing import Any

import fastavro

from bostream.contract.schemas import Schemas, load_schemas

SCHEMAS: Schemas = load_schemas()
NOON = 1_764_072_000_000_000
"""2025-11-25T12:00:00Z in µs."""

Plain = dict[str, Any]


def order(**changes: Any) -> Plain:
    plain: Plain = {
        "event_id": "e-1",
        "occurred_at": NOON,
        "source": "oms",
        "type": "PLACED",
        "order_id": "o-1",
        "order_version": 1,
        "accepted_at": NOON - 1,
        "customer_id": "c-1",
        "customer_tier": "GOLD",
        "channel": "WEB",
        "priority": 5,
        "need_by": None,
        "cancel_after": NOON + 1,
        "ship_policy": "PARTIAL",
        "locations": ["W1", "W2"],
        "lines": [{"line_id": "1", "sku": "S", "quantity": 3}, {"line_id": "2", "sku": "T", "quantity": 0}],
    }
    return plain | changes


def scan(**changes: Any) -> Plain:
    plain: Plain = {
        "event_id": "e-2",
        "occurred_at": NOON,
        "source": "wms",
        "type": "RECEIVED",
        "sku": "S",
        "location": "W1",
        "quantity": 6,
        "expected_quantity": None,
        "order_id": None,
        "line_id": None,
        "asn_id": "a-1",
        "asn_line_id": "1",
        "reason": "",
    }
    return plain | changes


def asn(**changes: Any) -> Plain:
    plain: Plain = {
        "event_id": "e-3",
        "occurred_at": NOON,
        "source": "edi",
        "type": "ANNOUNCED",
        "asn_id": "a-1",
        "asn_version": 0,
        "supplier_id": "",
        "location": "W1",
        "eta": NOON + 86_400_000_000,
        "supplier_promised_at": None,
        "purchase_order": "po-1",
        "lines": [{"line_id": "1", "sku": "S", "quantity": 100}],
    }
    return plain | changes


def policy(**changes: Any) -> Plain:
    plain: Plain = {
        "event_id": "e-4",
        "occurred_at": NOON,
        "policy_id": "p",
        "version": 3,
        "sku": "*",
        "rank": ["PRIORITY", "NEED_BY", "ACCEPTED_AT"],
        "tier_order": ["GOLD"],
        "channel_order": [],
        "allow_backorder": False,
        "max_backlog_units": 1000,
        "max_wait_days": 30,
        "order_complete_hold_after_hours": None,
    }
    return plain | changes


def allocation(**changes: Any) -> Plain:
    plain: Plain = {
        "event_id": "1b671a64-40d5-591e-99b0-da01ff1f3341",
        "occurred_at": NOON,
        "type": "ALLOCATED",
        "sku_sequence": 1,
        "order_id": "o-1",
        "line_id": "1",
        "sku": "S",
        "location": "W1",
        "quantity": 3,
        "reason": "STOCK_RECEIVED",
        "cause_event_id": "e-2",
        "cause_type": "inventory-scans/RECEIVED",
        "ordered": 5,
        "allocated": 3,
        "picked": 0,
        "shipped": 0,
        "cancelled": 0,
        "waiting": 2,
        "on_hand_after": 3,
        "available_after": 0,
        "rank": "5/o-1/1",
        "units_ahead": 7,
        "policy": "default@0",
    }
    return plain | changes


def notification(**changes: Any) -> Plain:
    line = {"line_id": "1", "sku": "S", "ordered": 5, "allocated": 3, "shipped": 0, "waiting": 2}
    plain: Plain = {
        "event_id": "n-1",
        "deduplication_key": "o-1/BACKORDERED/1",
        "occurred_at": NOON,
        "audience": "CUSTOMER",
        "type": "BACKORDERED",
        "order_id": "o-1",
        "customer_id": "c-1",
        "order_version": 1,
        "lines": [line | {"eta": NOON, "previous_eta": None, "queue_position": 4}],
        "cause_event_id": "e-1",
        "message": "Two units of S wait.",
    }
    return plain | changes


def backorder_line(**changes: Any) -> Plain:
    plain: Plain = {
        "order_id": "o-1",
        "line_id": "1",
        "sku": "S",
        "ordered": 5,
        "allocated": 3,
        "picked": 0,
        "shipped": 0,
        "cancelled": 0,
        "waiting": 2,
        "status": "PARTIALLY_ALLOCATED",
        "accepted_at": NOON,
        "waiting_since": NOON,
        "eta": None,
        "eta_source": None,
        "rank": "5/o-1/1",
    }
    return plain | changes


def stock_position(**changes: Any) -> Plain:
    plain: Plain = {
        "sku": "S",
        "location": "W1",
        "on_hand": -1,
        "allocated": 64,
        "picked": 0,
        "quarantined": 0,
        "available": 0,
        "deficit": 65,
        "waiting": 0,
        "inbound": 5,
        "next_eta": 2,
    }
    return plain | changes


EXAMPLES: dict[str, Plain] = {
    "orders": order(),
    "inventory-scans": scan(),
    "asns": asn(),
    "allocation-policies": policy(),
    "allocations": allocation(),
    "notifications": notification(),
    "backorder-lines": backorder_line(),
    "stock-positions": stock_position(),
}
"""By topic."""


def raw_schema(topic: str) -> Any:
    """The newest schema without logical types, so that fastavro takes times as numbers."""
    text = SCHEMAS.newest(topic).text.replace(', "logicalType": "timestamp-micros"', "")
    return fastavro.parse_schema(json.loads(text))


RAW_SCHEMAS = {topic: raw_schema(topic) for topic in EXAMPLES}


def bare_avro(topic: str, plain: Plain) -> bytes:
    """The Avro value as fastavro writes it."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, RAW_SCHEMAS[topic], plain)
    return out.getvalue()


def single_object(topic: str, plain: Plain) -> bytes:
    """The Avro value in single-object framing, put together here."""
    return b"\xc3\x01" + SCHEMAS.newest(topic).fingerprint + bare_avro(topic, plain)


def as_json(_topic: str, plain: Plain) -> bytes:
    """The value as the standard library writes JSON."""
    return json.dumps(plain).encode()
