"""One record of ``allocations`` as a sentence that says why units moved.

What must stay true: the sentence says only what the record says; everything that led to the decision is in it.
"""

from typing import Final

from bostream.contract.records import AllocationEvent, AllocationType

_TOWARDS: Final = {
    AllocationType.ALLOCATED: "to",
    AllocationType.DEALLOCATED: "from",
    AllocationType.PICKED: "for",
    AllocationType.UNPICKED: "of",
    AllocationType.SHIPPED: "for",
    AllocationType.CANCELLED: "of",
    AllocationType.REJECTED: "of",
    AllocationType.UNKNOWN: "of",
}


def explain_allocation(event: AllocationEvent) -> str:
    """Return what follows the event's type: units, line, reason and cause, rank, and how line and stock stand now."""
    at = f" at {event.location}" if event.location else ""
    moved = (
        f"{event.quantity} × {event.sku}{at} {_TOWARDS[event.type]} order {event.order_id} line {event.line_id}: "
        f"{event.reason} by {event.cause_type} {event.cause_event_id}"
    )
    ahead = "1 unit ahead" if event.units_ahead == 1 else f"{event.units_ahead} units ahead"
    parts = [moved, f"rank {event.rank}, {ahead}", f"line now {line_state(event)}"]
    if event.location:
        parts.append(f"{event.available_after} left at {event.location}, {event.on_hand_after} on hand")
    parts.append(f"{event.policy}, seq {event.sku_sequence}")
    return "; ".join(parts)


def line_state(event: AllocationEvent) -> str:
    """Return how the line stands; what is 0 is left out, except allocated and waiting."""
    picked = f" ({event.picked} picked)" if event.picked else ""
    parts = [f"{event.allocated} of {event.ordered} allocated{picked}"]
    if event.shipped:
        parts.append(f"{event.shipped} shipped")
    if event.cancelled:
        parts.append(f"{event.cancelled} cancelled")
    parts.append(f"{event.waiting} waiting")
    return ", ".join(parts)
