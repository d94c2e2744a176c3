"""What a changed ASN does to the supply that one SKU may expect (R16). Reads only.

What must stay true: stock on hand never changes by an ASN.
"""

from bostream.domain.sku.book import Page
from bostream.domain.sku.events import InboundChanged, InboundLine
from bostream.domain.sku.outcomes import DiscrepancyFound, DiscrepancyKind, InboundStated, Outcome
from bostream.domain.sku.rank import counted
from bostream.domain.sku.state import Inbound


def decide_inbound(page: Page, event: InboundChanged) -> list[Outcome]:
    """Return the ASN lines that read differently now, and what was received otherwise when the ASN ends (R16)."""
    known = {inbound.asn_line_id: inbound for inbound in page.inbound_of(event.asn_id)}
    stated = {line.line_id: line for line in event.lines}
    for line_id, row in known.items():
        if line_id not in stated and row.is_announced:
            # A notice that only ends says nothing about quantities; any other withdraws what it does not name.
            stated[line_id] = InboundLine(line_id, row.quantity if event.closed else 0)

    # From here on the event succeeds.
    outcomes: list[Outcome] = []
    for line_id in sorted(stated):
        line, inbound = stated[line_id], known.get(line_id)
        if inbound is not None and _reads_so(inbound, event, line):
            continue
        received, before = 0, None
        if inbound is not None:
            received, before = inbound.received, inbound.location if inbound.is_announced else None
        outcomes.append(InboundStated(event.asn_id, event.location, event.eta, line, event.closed, before))
        if event.closed and received != line.quantity:
            outcomes.append(_difference(page, event, line, received))
    return outcomes


def _reads_so(inbound: Inbound, event: InboundChanged, line: InboundLine) -> bool:
    known = (inbound.is_announced, inbound.location, inbound.eta, inbound.quantity, inbound.is_closed)
    return known == (True, event.location, event.eta, line.quantity, event.closed)


def _difference(page: Page, event: InboundChanged, line: InboundLine, received: int) -> DiscrepancyFound:
    message = (
        f"Line {line.line_id} of ASN {event.asn_id} announced {counted(line.quantity)} of {page.sku}, "
        f"received: {received}."
    )
    return DiscrepancyFound(DiscrepancyKind.RECEIPT_DISCREPANCY, message, location=event.location, asn_id=event.asn_id)
