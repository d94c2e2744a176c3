"""The end of a demonstration: one object for machines, one summary for people, one exit code.

What must stay true: both are made of the same values; the names in the object never change meaning (docs/DEMO.md); a
difference in the audit outranks every other problem.
"""

from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

import bostream
from bostream.audit.findings import Findings
from bostream.audit.verify import verdict
from bostream.cli.demonstration import words
from bostream.cli.demonstration.board import Observed
from bostream.cli.demonstration.plan import Plan
from bostream.cli.demonstration.processes import WorkerState
from bostream.cli.demonstration.traffic import Progress
from bostream.cli.exits import Exit

LATENCY_DEFINITION: Final = (
    "of each committed ALLOCATED event: the moment at which a read_committed consumer of this machine was handed it, "
    "minus the timestamp of the public input record that caused it"
)
_DIFFERENCES_SHOWN: Final = 5


class Seconds(msgspec.Struct, frozen=True):
    """How long the parts took.

    Attributes:
        to_table: from the start of the command to the first scene.
        traffic: while records were sent.
        drain: from then until nothing was left to process.
        audit: of everything.
        total: from the start of the command to the verdict.
    """

    to_table: float
    traffic: float
    drain: float
    audit: float
    total: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was seen and found.

    Attributes:
        plan: what was planned.
        kafka: in words; ``bootstrap_servers``: where it was.
        observed: at the end, when everything committed was read.
        traffic: its last word.
        workers: how they were just before they were stopped.
        unprocessed: records that no worker had processed when they were stopped.
        seconds: how long the parts took.
        findings: of the audit; None: it was not run.
        problems: what should not have happened, in sentences.
        logs: where the logs are kept; None: nothing went wrong, they are gone.
    """

    plan: Plan
    kafka: str
    bootstrap_servers: str
    observed: Observed
    traffic: Progress
    workers: tuple[WorkerState, ...]
    unprocessed: int
    seconds: Seconds
    findings: Findings | None
    problems: tuple[str, ...]
    logs: str | None

    @property
    def exit_code(self) -> Exit:
        """What the command ends with."""
        if self.findings is not None and self.findings.total:
            return Exit.INVARIANT
        return Exit.BROKER if self.problems or self.findings is None else Exit.OK

    @property
    def kills(self) -> int:
        """How many workers were killed on purpose."""
        return sum(worker.kills for worker in self.workers)

    @property
    def crashes(self) -> int:
        """How many ended by themselves."""
        return sum(worker.crashes for worker in self.workers)

    def to_plain(self) -> dict[str, Any]:
        """Return the object for ``--json``."""
        plan, observed, tally = self.plan, self.observed, self.traffic.tally
        return {
            "bostream": bostream.__version__,
            "exit_code": int(self.exit_code),
            "problems": list(self.problems),
            "logs": self.logs,
            "kafka": {"what": self.kafka, "bootstrap_servers": self.bootstrap_servers, "is_embedded": plan.is_embedded},
            "app": plan.app,
            "topic_prefix": plan.prefix,
            "partitions": plan.partitions,
            "scenario": plan.scenario,
            "dataset": plan.dataset,
            "seed": plan.seed,
            "rate": plan.rate,
            "speed_up": plan.speed_up,
            "real_and_made": list(self.traffic.provenance),
            "seconds": msgspec.to_builtins(self.seconds),
            "records": {
                "total": sum(observed.inputs.values()),
                "per_second": round(self.records_per_second, 1),
                "by_topic": dict(sorted(observed.inputs.items())),
                "repeated": tally.repeated,
                "late": tally.late,
                "bad": tally.bad,
                "unprocessed": self.unprocessed,
                "held_back_s": round(self.traffic.held_back_s, 1),
            },
            "orders": tally.orders,
            "order_lines": tally.order_lines,
            "units_ordered": tally.units,
            "allocations": {
                "total": sum(observed.allocations.values()),
                "by_type": dict(sorted(observed.allocations.items())),
                "units_allocated": observed.units_allocated,
            },
            "notices": {"total": sum(observed.notices.values()), "by_type": dict(sorted(observed.notices.items()))},
            "dead_letters": {
                "total": sum(observed.dead_letters.values()),
                "by_reason": dict(sorted(observed.dead_letters.items())),
            },
            "backlog": msgspec.to_builtins(observed.backlog),
            "latency_ms": {
                "definition": LATENCY_DEFINITION,
                **msgspec.to_builtins(observed.latency),
                "left_out": observed.latency_left_out,
                "unmatched": observed.latency_unmatched,
            },
            "workers": {"count": plan.workers, "killed": self.kills, "crashed": self.crashes},
            "audit": None if self.findings is None else verdict(self.findings),
        }

    @property
    def records_per_second(self) -> float:
        """Input records over the time of the traffic and of working it off."""
        seconds = self.seconds.traffic + self.seconds.drain
        return sum(self.observed.inputs.values()) / seconds if seconds else 0.0


def print_summary(report: Report, console: Console) -> None:
    """Print the summary and the verdict."""
    console.print(_summary(report))
    for sentence in report.traffic.provenance:
        console.print(Text(sentence, style="dim"))
    if not report.plan.is_embedded:
        console.print(_where_the_topics_are(report), markup=False)
    for problem in report.problems:
        console.print(f"problem: {problem}", style="yellow", markup=False, highlight=False)
    if report.logs is not None:
        console.print(f"logs: {report.logs}", markup=False, highlight=False)
    _print_verdict(report, console)


def _summary(report: Report) -> Table:
    observed, tally, seconds = report.observed, report.traffic.tally, report.seconds
    latency, backlog = observed.latency, observed.backlog
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    rows.add_row("records", f"{sum(observed.inputs.values()):,} in {seconds.traffic:.0f} s + {seconds.drain:.0f} s to "
                            f"work off the rest = {report.records_per_second:,.0f}/s"
                            f" ({words.by_name(observed.inputs)})")  # fmt: skip
    rows.add_row("orders", f"{words.count(tally.orders, 'order')}, {words.count(tally.order_lines, 'line')}, "
                           f"{words.count(tally.units, 'unit')}")  # fmt: skip
    rows.add_row("allocations", _total(observed.allocations))
    rows.add_row("notices", _total(observed.notices))
    measured = (
        f"p50 {words.milliseconds(latency.p50)}, p99 {words.milliseconds(latency.p99)}, most "
        f"{words.milliseconds(latency.max)} ({words.count(latency.samples, 'allocation')}; "
        f"{observed.latency_left_out:,} of the first seconds left out)"
    )
    rows.add_row("latency", measured)
    rows.add_row("", Text(LATENCY_DEFINITION, style="dim"))
    rows.add_row("backlog", f"{words.count(backlog.units, 'unit')} in {words.count(backlog.lines, 'line')} wait")
    rows.add_row("dead letters", _total(observed.dead_letters))
    rows.add_row("workers", f"{report.plan.workers}; killed {report.kills} times, ended by themselves {report.crashes} "
                            "times")  # fmt: skip
    if report.traffic.held_back_s >= 1 and report.plan.rate is not None:
        rows.add_row("held back", f"for {report.traffic.held_back_s:.0f} s: the workers did not keep up with the rate")
    if report.unprocessed:
        rows.add_row("not processed", words.count(report.unprocessed, "record"))
    return rows


def _total(counts: dict[str, int]) -> str:
    return f"{sum(counts.values()):,}" + (f" ({words.by_name(counts)})" if counts else "")


def _where_the_topics_are(report: Report) -> str:
    plan = report.plan
    flags = f"--app {plan.app} --bootstrap-servers {report.bootstrap_servers} --set topics.prefix={plan.prefix}"
    return (
        f"The topics stay on your cluster, under {plan.prefix}*: look at them with\n  bostream tail allocations {flags}"
    )


def _print_verdict(report: Report, console: Console) -> None:
    findings = report.findings
    if findings is None:
        console.print("audit: not run", style="yellow")
        return
    compared = f"{sum(findings.compared.values()):,} comparisons in {report.seconds.audit:.0f} s"
    console.print(Text(f"audit compared: {words.by_name(dict(findings.compared))}", style="dim"))
    for sentence in findings.limitations:
        console.print(f"not audited: {sentence}", style="yellow", markup=False, highlight=False)
    if not findings.total:
        console.print(f"audit: 0 differences ({compared})", style="bold green", highlight=False)
        return
    for finding in findings.kept[:_DIFFERENCES_SHOWN]:
        where = f"{finding.topic}/{finding.partition}/{finding.offset}"
        text = f"  {finding.kind} {where} {finding.subject}: expected {finding.expected}, is {finding.actual}"
        console.print(text, markup=False, highlight=False)
    kinds = words.by_name({str(kind): number for kind, number in findings.counts.items()})
    console.print(
        f"audit: {words.count(findings.total, 'difference')} ({kinds}; {compared})", style="bold red", highlight=False
    )
