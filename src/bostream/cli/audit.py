"""``bostream audit``: recompute an application's outputs from its logs and compare.

What must stay true: it only reads; it may run beside workers (the cut is described in ``bostream.audit.source``).
"""

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bostream.adapters.clock import SystemClock
from bostream.audit.findings import Findings, Place
from bostream.audit.verify import audit as run_audit, verdict
from bostream.cli.exits import Exit, exit_on_error
from bostream.cli.main import app as cli
from bostream.cli.options import App, Bootstrap, Config, Set, settings_of
from bostream.cli.wiring import application_of, audited_topics


@cli.command()
def audit(
    *,
    config: Config = None,
    sets: Set = None,
    app: App = None,
    bootstrap: Bootstrap = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object with counts and differences.")] = False,
) -> None:
    """Recompute everything that was published from the logs, by other code, and compare; exit 8 on a difference.

    Reads all topics from their beginning and changes nothing. Workers may go on meanwhile.
    """
    with exit_on_error():
        settings = settings_of(config, sets, app, bootstrap)
        source = audited_topics(settings)
        findings = run_audit(source, application_of(settings), PhasesOnStderr())
    if as_json:
        print(json.dumps({"app": settings.app, **verdict(findings)}, indent=2))
    else:
        _print_verdict(settings.app, findings)
    if findings.total:
        raise SystemExit(int(Exit.INVARIANT))


class PhasesOnStderr:
    """Tells on stderr how far the audit is: on a terminal as it goes, else at the end of each phase."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._started_s = self._phase_started_s = self._clock.monotonic_s()
        self._is_terminal = sys.stderr.isatty()

    def __call__(self, phase: str, records: int, *, is_done: bool) -> None:
        """Take a line at the end of a phase; before that, on a terminal, overwrite it."""
        now_s = self._clock.monotonic_s()
        line = f"{phase}: {records} records, {now_s - self._phase_started_s:.1f} s ({now_s - self._started_s:.1f} s)"
        if is_done:
            print(f"\r\x1b[K{line}" if self._is_terminal else line, file=sys.stderr, flush=True)
            self._phase_started_s = now_s
        elif self._is_terminal:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _print_verdict(app: str, findings: Findings) -> None:
    console = Console()
    compared = Table("compared", "how many", title=f"audit of {app}")
    for what, count in findings.compared.items():
        compared.add_row(what, str(count))
    console.print(compared)
    if findings.kept:
        console.print(_table_of(findings))
    for sentence in findings.limitations:
        console.print(f"not audited: {sentence}", style="yellow", markup=False)
    if findings.total:
        kinds = ", ".join(f"{count} {kind}" for kind, count in findings.counts.items())
        console.print(f"{findings.total} differences: {kinds}", style="red", markup=False)
    else:
        console.print("0 differences", style="green")


def _table_of(findings: Findings) -> Table:
    table = Table("kind", "where", "about", "expected", "actual", title="differences")
    for finding in findings.kept:
        row: tuple[Any, ...] = (
            finding.kind,
            str(Place(finding.topic, finding.partition, finding.offset)),
            finding.subject,
            finding.expected,
            finding.actual,
        )
        table.add_row(*(str(cell).replace("[", "\\[") for cell in row))
    return table
