"""``bostream audit``: recompute an application's outputs from its logs and compare.

What must stay true: it only reads; it may run beside workers (the cut is described in ``bostream.audit.source``).
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bostream.adapters.clock import SystemClock
from bostream.adapters.kafka.reading import TopicReader, committed_offsets
from bostream.audit.demand import DemandRules
from bostream.audit.findings import Findings, Place
from bostream.audit.reference import ReferenceRules
from bostream.audit.source import Span
from bostream.audit.verify import Application, Chain, audit as run_audit, verdict
from bostream.cli.exits import Exit, exit_on_error
from bostream.cli.main import app as cli
from bostream.cli.options import App, Bootstrap, Config, Set, settings_of
from bostream.cli.wiring import desk_rules, reader_settings, sku_rules
from bostream.contract.codec import InputReader, RecordReader
from bostream.contract.deadletter import dead_letter_topic
from bostream.contract.records import OUTPUT_RECORDS
from bostream.contract.schemas import load_schemas
from bostream.contract.topics import changelog, documents_log, public_topic, skus_log
from bostream.engine import chain
from bostream.engine.ports import LogRange, Partition, Record
from bostream.settings import Settings
from bostream.stages.intake import INPUT_TOPICS

_PREFETCH = {"queued.min.messages": 20_000, "queued.max.messages.kbytes": 8_192}
"""Bounds what the client fetches ahead of each partition, by default some 64 MB."""


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
        source = KafkaSource(settings)
        findings = run_audit(source, application_of(settings), PhasesOnStderr())
    if as_json:
        print(json.dumps({"app": settings.app, **verdict(findings)}, indent=2))
    else:
        _print_verdict(settings.app, findings)
    if findings.total:
        raise SystemExit(int(Exit.INVARIANT))


def application_of(settings: Settings) -> Application:
    """Return what is to be audited, by the settings that its workers have."""
    schemas = load_schemas()
    rules, desk = sku_rules(settings), desk_rules(settings)
    return Application(
        app=settings.app,
        prefix=settings.topics.prefix,
        inputs=INPUT_TOPICS,
        rules=ReferenceRules(duplicate_horizon=rules.duplicate_horizon, retention=rules.closed_retention),
        desk=DemandRules(duplicate_horizon=desk.duplicate_horizon, retention=desk.closed_retention),
        make_input_reader=lambda topic: InputReader(topic, schemas),
        make_output_reader=lambda topic: RecordReader(topic, schemas),
        chain=Chain(chain.is_commit_key, chain.follow),
    )


class KafkaSource:
    """The topics of an application at one cut, taken when this is made; see ``bostream.audit.source``."""

    def __init__(self, settings: Settings) -> None:
        app, prefix = settings.app, settings.topics.prefix
        self._reader = TopicReader({**reader_settings(settings), **_PREFETCH})
        inputs = [public_topic(name, prefix) for name in INPUT_TOPICS]
        documents, skus = documents_log(app, prefix), skus_log(app, prefix)
        changelogs = [changelog(documents), changelog(skus)]
        published = [public_topic(name, prefix) for name in OUTPUT_RECORDS]
        letters = [dead_letter_topic(topic) for topic in (*inputs, documents, skus)]
        by_topic: dict[str, list[Partition]] = {}
        for partition in self._reader.partitions([*inputs, documents, skus, *changelogs, *published, *letters]):
            by_topic.setdefault(partition.topic, []).append(partition)
        read_by_group = [partition for topic in (*inputs, documents, skus) for partition in by_topic[topic]]

        committed = committed_offsets(reader_settings(settings), app, read_by_group)
        early = self._ranges(by_topic, [*published, *changelogs, documents])
        late: dict[Partition, LogRange] = {}
        for topics in ([skus], [documents], [*letters, *inputs]):
            late |= self._ranges(by_topic, topics)
        of_logs = {partition: one for partition, one in late.items() if partition.topic in (documents, skus)}
        self._reader.wait_until_decided({**early, **of_logs})
        committed_later = committed_offsets(reader_settings(settings), app, read_by_group)

        self._spans: dict[str, dict[int, Span]] = {}
        for topic, partitions in by_topic.items():
            self._spans[topic] = {
                partition.number: Span(
                    start=(early | late)[partition].start,
                    end=(early | late)[partition].end,
                    early_end=early.get(partition, late.get(partition, LogRange(0, 0))).end,
                    committed=committed.get(partition),
                    is_settled=committed.get(partition) == committed_later.get(partition),
                )
                for partition in partitions
            }

    def _ranges(self, by_topic: Mapping[str, list[Partition]], topics: list[str]) -> dict[Partition, LogRange]:
        return self._reader.ranges([partition for topic in topics for partition in by_topic[topic]])

    def spans(self, topic: str) -> Mapping[int, Span]:
        """Return the audited part of each partition."""
        return self._spans.get(topic, {})

    def read(self, topic: str) -> Iterator[Record]:
        """Yield the committed records of a topic."""
        ranges = {
            Partition(topic, number): LogRange(span.start, span.end) for number, span in self.spans(topic).items()
        }
        for record in self._reader.read_ranges(ranges):
            if record is not None:
                yield record


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
