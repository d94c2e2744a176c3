"""Transcripts of a SKU book that read like a story: command lines, ``----``, what happened.

What must stay true: the part below ``----`` is written by the book alone. :data:`GRAMMAR` says what commands there are;
``python -m tests.scenarios.runner --rewrite`` rewrites all transcripts, and the change is then read as a diff.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bostream.domain.sku.events import DemandReason, LineDemand, ScanType, ShipPolicy, Terms
from bostream.domain.sku.outcomes import (
    CancellationDeferred,
    DemandAdded,
    DiscrepancyFound,
    EtaMoved,
    EtaTold,
    InboundReceived,
    InboundStated,
    LineForgotten,
    LineMoved,
    Outcome,
    ScanParked,
    ScansUnparked,
    StockMoved,
    UnitsAllocated,
    UnitsCancelled,
    UnitsDeallocated,
    UnitsPicked,
    UnitsShipped,
    UnitsUnpicked,
)
from bostream.domain.sku.rank import joined
from tests.domain.sku.harness import DAY, HOUR, MINUTE, SKU, Story

GRAMMAR = """
place ORDER QUANTITY [line LINE] [priority P] [accepted TIME] [whole] [from W1,W2]   line is 1 unless told
lines ORDER L=Q L=Q … [priority P] [accepted TIME] [whole] [from W1,W2]              several lines in one event
amend ORDER +Q|-Q|end [line LINE] [at TIME]                                          at: seniority of added units
terms ORDER [priority P] [accepted TIME] [whole] [from W1,W2]                        the whole terms again
cancel ORDER [line LINE]
receive|count|adjust|return|quarantine|unquarantine|move-out|move-in Q [at W] [expected Q] [asn ASN/LINE] [id EVENT]
pick|unpick|ship|short Q of ORDER [line LINE] [at W]
asn ASN L=Q … eta DATE [at W]          |  close ASN
wait 3d|4h|5m                          |  show ORDER[/LINE] … or show at W …
"""

DIRECTORY = Path(__file__).parent
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SCANS = {
    "receive": ScanType.RECEIVED,
    "count": ScanType.COUNTED,
    "adjust": ScanType.ADJUSTED,
    "return": ScanType.RETURNED,
    "quarantine": ScanType.QUARANTINED,
    "unquarantine": ScanType.UNQUARANTINED,
    "move-out": ScanType.TRANSFERRED_OUT,
    "move-in": ScanType.TRANSFERRED_IN,
    "pick": ScanType.PICKED,
    "unpick": ScanType.UNPICKED,
    "ship": ScanType.SHIPPED,
    "short": ScanType.SHORTED,
}
Units = UnitsAllocated | UnitsDeallocated | UnitsPicked | UnitsUnpicked | UnitsShipped | UnitsCancelled
_UNITS: dict[type[Units], str] = {
    UnitsAllocated: "gets",
    UnitsDeallocated: "loses",
    UnitsPicked: "picked",
    UnitsUnpicked: "unpicked",
    UnitsShipped: "shipped",
    UnitsCancelled: "cancelled",
}
_WAITS = {"d": DAY, "h": HOUR, "m": MINUTE}


def micros(moment: datetime) -> int:
    """Return µs since the epoch, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment_of(text: str) -> int:
    """Read ``09:10`` (on the first day), ``2026-03-05`` or ``2026-03-05T06:00``."""
    if "-" not in text:
        hours, minutes = text.split(":")
        return micros(MIDNIGHT) + int(hours) * HOUR + int(minutes) * MINUTE
    return micros(datetime.fromisoformat(text).replace(tzinfo=UTC))


def date_of(eta: int | None) -> str:
    """Write an ETA as a date, with the hour where it is not midnight."""
    if eta is None:
        return "none"
    return (EPOCH + timedelta(microseconds=eta)).strftime("%Y-%m-%dT%H:%M").removesuffix("T00:00")


class Narrator(Story):
    """A story that writes down what happens."""

    def __init__(self) -> None:
        super().__init__(now=micros(MIDNIGHT) + 12 * HOUR)
        self.told: list[str] = []
        self.asns: dict[str, tuple[str, int]] = {}

    def run(self, command: str) -> None:
        """Run one command line."""
        verb, *words = command.split()
        if verb in _SCANS:
            self._scan(_SCANS[verb], words)
        else:
            getattr(self, f"_{verb}")(words)

    # --- commands

    def _place(self, words: list[str]) -> None:
        order, quantity, *rest = words
        options = options_of(rest)
        terms = self._terms_of(order, options)
        demand = LineDemand(options.get("line", "1"), add=int(quantity), seniority=terms.accepted_at)
        self.demand(order, DemandReason.ORDER_PLACED, [demand])

    def _lines(self, words: list[str]) -> None:
        order, *rest = words
        quantities = [word.split("=") for word in rest if "=" in word]
        terms = self._terms_of(order, options_of([word for word in rest if "=" not in word]))
        demands = [LineDemand(line, add=int(units), seniority=terms.accepted_at) for line, units in quantities]
        self.demand(order, DemandReason.ORDER_PLACED, demands)

    def _amend(self, words: list[str]) -> None:
        order, change, *rest = words
        options = options_of(rest)
        line = options.get("line", "1")
        if change == "end":
            self.amend(order, LineDemand(line, ends=True))
        elif change.startswith("+"):
            self.amend(order, LineDemand(line, add=int(change), seniority=moment_of(options["at"])))
        else:
            self.amend(order, LineDemand(line, cancel=-int(change)))

    def _terms(self, words: list[str]) -> None:
        order, *rest = words
        options = options_of(rest)
        self._terms_of(order, options)
        self.amend(order, LineDemand(options.get("line", "1")))

    def _terms_of(self, order: str, options: dict[str, str]) -> Terms:
        terms = Terms(
            1,
            moment_of(options.get("accepted", "09:00")),
            priority=int(options.get("priority", "5")),
            ship_policy=ShipPolicy.LINE_COMPLETE if "whole" in options else ShipPolicy.PARTIAL,
            locations=tuple(options["from"].split(",")) if "from" in options else (),
        )
        self.terms[order] = terms
        return terms

    def _cancel(self, words: list[str]) -> None:
        order, *rest = words
        self.cancel(order, options_of(rest).get("line", "1"))

    def _scan(self, kind: ScanType, words: list[str]) -> None:
        quantity, *rest = words
        options = options_of(rest)
        asn_id, _, asn_line = options.get("asn", "").partition("/")
        events = self.events
        self.scan(
            kind,
            int(quantity),
            options.get("of"),
            location=options.get("at", "W1"),
            expected=int(options["expected"]) if "expected" in options else None,
            asn=(asn_id, asn_line) if asn_id else None,
            line=options.get("line", "1"),
            event_id=options.get("id"),
        )
        assert self.events == events + 1

    def _asn(self, words: list[str]) -> None:
        asn_id, *rest = words
        lines = {line: int(units) for line, units in (word.split("=") for word in rest if "=" in word)}
        options = options_of([word for word in rest if "=" not in word])
        location, eta = options.get("at", "W1"), moment_of(options["eta"])
        self.asns[asn_id] = (location, eta)
        self.asn(asn_id, lines, eta=eta, location=location)

    def _close(self, words: list[str]) -> None:
        (asn_id,) = words
        location, eta = self.asns[asn_id]
        self.asn(asn_id, {}, eta=eta, location=location, closed=True)

    def _wait(self, words: list[str]) -> None:
        (duration,) = words
        self.pass_time(int(duration[:-1]) * _WAITS[duration[-1]])

    def _show(self, words: list[str]) -> None:
        if words[0] == "at":
            for location in words[1:]:
                self._show_position(location)
            return
        for word in words:
            order, _, line = word.partition("/")
            view = self.book.view(SKU, order, line or "1")
            if view is None:
                self.told.append(f"{word}: unknown")
                continue
            places = ", ".join(f"{units} at {location}" for location, units in self.held(order, line or "1").items())
            self.told.append(
                f"{word}: {view.status or 'closed'}, ordered {view.ordered}, allocated {view.allocated}"
                f"{f' ({places})' if places else ''}, picked {view.picked}, shipped {view.shipped}, "
                f"cancelled {view.cancelled}, waiting {view.waiting}, eta {date_of(view.eta)}, {view.rank}"
            )

    def _show_position(self, location: str) -> None:
        there = self.position(location)
        text = (
            f"{location}: on hand {there.on_hand}, allocated {there.allocated}, picked {there.picked}, "
            f"quarantined {there.quarantined}, available {there.available}, deficit {there.deficit}, "
            f"waiting {there.waiting}, inbound {there.inbound}, next eta {date_of(there.next_eta)}"
        )
        self.told.append(text)

    # --- what happened

    def observe(self, outcome: Outcome) -> None:
        """Write down an outcome with what the book shows after it."""
        text = self._text(outcome)
        if text:
            self.told.append(text)

    def _text(self, outcome: Outcome) -> str:
        if isinstance(outcome, Units):
            return self._units_text(outcome)
        match outcome:
            case StockMoved():
                quarantined = f", {outcome.quarantined:+} quarantined" if outcome.quarantined else ""
                there = self.position(outcome.location).on_hand
                return f"{outcome.location} {outcome.on_hand:+}{quarantined} -> {there} on hand"
            case DemandAdded():
                return f"{joined(outcome.order_id, outcome.line_id)} wants {outcome.quantity}"
            case CancellationDeferred() | LineMoved() | LineForgotten() | ScansUnparked():
                quantity = f" {outcome.quantity:+}" if isinstance(outcome, CancellationDeferred) else ""
                return f"{joined(outcome.order_id, outcome.line_id)} {type(outcome).__name__}{quantity}"
            case ScanParked():
                return f"{joined(outcome.order_id, outcome.line_id)} unknown: {outcome.type} {outcome.quantity} parked"
            case InboundStated():
                end = ", closed" if outcome.closed else ""
                line = joined(outcome.asn_id, outcome.line.line_id)
                return f"{line} {outcome.line.quantity} at {outcome.location} by {date_of(outcome.eta)}{end}"
            case InboundReceived():
                return f"{joined(outcome.asn_id, outcome.asn_line_id)} received {outcome.quantity}"
            case EtaMoved():
                source = f" from {outcome.source}" if outcome.source else ""
                return f"{joined(outcome.order_id, outcome.line_id)} eta {date_of(outcome.eta)}{source}"
            case EtaTold():
                return f"{joined(outcome.order_id, outcome.line_id)} told {date_of(outcome.eta)}"
            case DiscrepancyFound():
                return f"! {outcome.kind.value}: {outcome.message}"
            case _:
                return ""

    def _units_text(self, outcome: Units) -> str:
        view = self.line(outcome.order_id, outcome.line_id)
        where = "" if isinstance(outcome, UnitsCancelled) else f" at {outcome.location}"
        why = getattr(outcome, "reason", None)
        ahead = f", {outcome.units_ahead} ahead" if isinstance(outcome, UnitsAllocated) and outcome.units_ahead else ""
        return (
            f"{joined(outcome.order_id, outcome.line_id)} {_UNITS[type(outcome)]} {outcome.quantity}{where}"
            f"{f' ({why.value}{ahead})' if why else ''} -> {view.allocated} allocated, {view.waiting} waiting"
        )


def options_of(words: list[str]) -> dict[str, str]:
    """Read ``name value`` pairs; ``whole`` stands alone."""
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        options[word] = "" if word == "whole" else next(rest)
    return options


def narrate(transcript: str) -> str:
    """Run a transcript's commands on a fresh book and return it with what happened."""
    narrator = Narrator()
    written: list[str] = []
    is_output = False
    for text in transcript.splitlines():
        if is_output and text:
            continue
        is_output = False
        if text == "----":
            is_output = True
            written += ["----", *(narrator.told or ["(nothing)"])]
            narrator.told = []
            continue
        written.append(text)
        if text and not text.startswith("#"):
            narrator.run(text)
    return "\n".join(written) + "\n"


def main(arguments: list[str]) -> int:
    """Compare all transcripts, or rewrite them with ``--rewrite``; returns the number that differ."""
    differing = 0
    for path in sorted(DIRECTORY.glob("*.txt")):
        told = narrate(path.read_text())
        if told != path.read_text():
            differing += 1
            sys.stdout.write(f"{path.name} differs\n")
            if "--rewrite" in arguments:
                path.write_text(told)
    return 0 if "--rewrite" in arguments else differing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
