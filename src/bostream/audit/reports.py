"""What the SKU books reported to the document desk, against how each line stood after each event.

What must stay true: for each line on a SKU the sequence of different totals that were reported is the sequence of
different totals that the reference went through. Reports that repeat the totals before them (a promise was told) are
not counted, so a report written twice in a row is not seen here.
"""

from bostream.audit.findings import Findings, Kind, Place
from bostream.audit.reference_line import LineKey
from bostream.domain.documents.events import LineReported

Stand = tuple[int, int, int, int, int, int]
"""ordered, allocated, picked, shipped, cancelled, waiting."""


class _Trail:
    """A sequence of different stands, folded into one number."""

    __slots__ = ("fold", "last", "length")

    def __init__(self) -> None:
        self.length = 0
        self.fold = 0
        self.last: Stand | None = None

    def add(self, stand: Stand) -> None:
        if stand != self.last:
            self.length += 1
            self.fold = hash((self.fold, stand))
            self.last = stand


class Reports:
    """Compares both sequences, line by line."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._expected: dict[tuple[str, LineKey], _Trail] = {}
        self._actual: dict[tuple[str, LineKey], tuple[_Trail, Place]] = {}

    def expect(self, sku: str, key: LineKey, stand: Stand) -> None:
        """The line stands so after an event that touched it."""
        trail = self._expected.get((sku, key))
        if trail is None:
            trail = self._expected[sku, key] = _Trail()
        trail.add(stand)

    def is_expected(self, sku: str, key: LineKey) -> bool:
        """Whether the line was touched before."""
        return (sku, key) in self._expected

    def add(self, report: LineReported, place: Place) -> None:
        """Take in a report of the documents log."""
        key = (report.sku, (report.order_id, report.line_id))
        known = self._actual.get(key)
        trail = _Trail() if known is None else known[0]
        trail.add((report.ordered, report.allocated, report.picked, report.shipped, report.cancelled, report.waiting))
        self._actual[key] = (trail, place)
        self._findings.compared["line reports"] += 1

    def finish(self, documents_log: str, moving: set[str]) -> None:
        """Compare; lines of SKUs that are moving are left out."""
        for name in self._expected.keys() | self._actual.keys():
            sku, (order_id, line_id) = name
            expected = self._expected.get(name)
            actual, place = self._actual.get(name, (None, Place(documents_log)))
            if sku in moving or (
                expected is not None
                and actual is not None
                and (expected.length, expected.fold) == (actual.length, actual.fold)
            ):
                continue
            self._findings.add(
                Kind.LINE_REPORT_WRONG,
                place,
                f"SKU {sku}, order {order_id}, line {line_id}",
                expected=_told(expected),
                actual=_told(actual),
            )
        self._expected.clear()
        self._actual.clear()


def _told(trail: _Trail | None) -> str:
    if trail is None:
        return "no report"
    return f"{trail.length} stands, the last (ordered, allocated, picked, shipped, cancelled, waiting) = {trail.last}"
