"""The live table and the plain line: what a scene looks like.

What must stay true: it only looks; it fits 80 columns, and uses more when there are more; text from records is never
taken for markup.
"""

from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bostream.cli.demonstration import words
from bostream.cli.demonstration.board import Notice
from bostream.cli.demonstration.latency import WINDOW_S
from bostream.cli.demonstration.scene import Scene

_WIDE: Final = 110
_ROWS_TOP: Final = 5
_ROWS_NOTICES: Final = 6
_ROWS_ABOVE_NOTICES: Final = 20
"""Of the narrow layout: the head, two rows of boxes, the frame of the notices, and the cursor's own line."""
_BAR_CELLS: Final = 10
_BEHIND_WORTH_TELLING_S: Final = 1.0

_NOTICE_STYLES: Final = {
    "BACKORDERED": "yellow",
    "ETA_SET": "cyan",
    "ETA_CHANGED": "yellow",
    "PARTIALLY_ALLOCATED": "green",
    "ALLOCATED": "green",
    "SHIPPED": "blue",
    "CANCELLED": "red",
    "STOCK_SHORTAGE": "red",
    "RECEIPT_DISCREPANCY": "magenta",
    "DISCREPANCY": "magenta",
}


class LiveTable:
    """Renders a scene for the width that there is."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay it out; on a low terminal there are fewer notices."""
        scene = self._scene
        foot = _foot(scene)
        boxes = [_flow(scene), _backlog(scene), _latency(scene), _top(scene)]
        yield _head(scene)
        if options.max_width >= _WIDE:
            yield _side_by_side(boxes[:3], [5, 6, 5])
            yield _side_by_side([boxes[3], _notices(scene, _ROWS_NOTICES)], [3, 5])
        else:
            left = console.size.height - _ROWS_ABOVE_NOTICES - len(foot)
            yield _side_by_side(boxes[:2], [1, 1])
            yield _side_by_side(boxes[2:], [1, 1])
            yield _notices(scene, max(1, min(_ROWS_NOTICES, left)))
        yield from foot


def plain_line(scene: Scene) -> str:
    """Return the scene in one line, for logs."""
    observed, rates, backlog = scene.observed, scene.rates, scene.observed.backlog
    latency = observed.recent_latency if observed.recent_latency.samples else observed.latency
    parts = [
        f"{words.clock(scene.elapsed_s)} {scene.phase}",
        f"{sum(observed.inputs.values()):,} records ({rates.records:,.0f}/s)",
        f"latency p50 {words.milliseconds(latency.p50)} p99 {words.milliseconds(latency.p99)}",
        f"waiting {words.count(backlog.units, 'unit')} in {words.count(backlog.lines, 'line')}",
    ]
    if scene.lag is not None:
        parts.append(f"{scene.lag.inputs + scene.lag.internal:,} to process")
    kills = sum(worker.kills for worker in scene.workers)
    if kills:
        parts.append(f"{words.count(kills, 'worker')} killed")
    return " · ".join(parts)


def _head(scene: Scene) -> RenderableType:
    plan = scene.plan
    what = plan.dataset or plan.scenario
    limit = "" if plan.duration_s is None else f" / {words.clock(plan.duration_s)}"
    line = Table.grid(expand=True)
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    left = Text.assemble((" bostream ", "bold reverse"), f" {what}, seed {plan.seed} · {scene.kafka}")
    line.add_row(left, Text.assemble((scene.phase, "bold"), f"  {words.clock(scene.elapsed_s)}{limit} "))
    return line


def _flow(scene: Scene) -> Panel:
    observed, rates = scene.observed, scene.rates
    rows = _numbers()
    rows.add_row("records in", f"{sum(observed.inputs.values()):,}", f"{rates.records:,.0f}/s")
    rows.add_row("order lines", f"{scene.traffic.tally.order_lines:,}", f"{rates.order_lines:,.0f}/s")
    rows.add_row("allocations", f"{sum(observed.allocations.values()):,}", f"{rates.allocations:,.0f}/s")
    rows.add_row("notices", f"{sum(observed.notices.values()):,}", f"{rates.notices:,.0f}/s")
    rows.add_row("dead letters", f"{sum(observed.dead_letters.values()):,}", "")
    rows.add_row("to process", "–" if scene.lag is None else f"{scene.lag.inputs + scene.lag.internal:,}", "")
    return _box("flow", rows)


def _backlog(scene: Scene) -> Panel:
    backlog = scene.observed.backlog
    rows = Table.grid(padding=(0, 1), expand=True)
    rows.add_column(no_wrap=True, style="dim")
    rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    waiting = Text(f"{words.count(backlog.units, 'unit')}, {words.count(backlog.lines, 'line')}", style="bold")
    rows.add_row("waiting", waiting)
    rows.add_row("with ETA", f"{words.count(backlog.promised_lines, 'line')}")
    rows.add_row("open lines", f"{backlog.open_lines:,}, waiting or not")
    if backlog.oldest is None:
        rows.add_row("oldest", "nobody waits")
        rows.add_row("", "")
    else:
        rows.add_row("oldest", Text(f"order {backlog.oldest.order_id}"))
        rows.add_row("", f"{words.age(scene.traffic.model_us - backlog.oldest.accepted_at)} by its clock")
    rows.add_row("its clock", words.moment(scene.traffic.model_us) if scene.traffic.model_us else "–")
    return _box("backlog", rows)


def _latency(scene: Scene) -> Panel:
    recent, overall = scene.observed.recent_latency, scene.observed.latency
    rows = Table.grid(padding=(0, 1), expand=True)
    rows.add_column(no_wrap=True, style="dim")
    rows.add_column(no_wrap=True, justify="right", ratio=1)
    rows.add_column(no_wrap=True, justify="right", ratio=1)
    rows.add_row("", Text(f"last {WINDOW_S} s", style="dim"), Text("all", style="dim"))
    for name, now, ever in (("p50", recent.p50, overall.p50), ("p99", recent.p99, overall.p99)):
        rows.add_row(name, Text(words.milliseconds(now), style="bold"), words.milliseconds(ever))
    rows.add_row("samples", f"{recent.samples:,}", f"{overall.samples:,}")
    for worker in scene.workers[:3]:
        state = Text("running", style="green") if worker.is_running else Text("stopped", style="yellow")
        restarts = worker.kills + worker.crashes
        rows.add_row(worker.name, state, words.count(restarts, "restart") if restarts else "")
    return _box("allocation latency", rows)


def _top(scene: Scene) -> Panel:
    top = scene.observed.backlog.top[:_ROWS_TOP]
    rows = Table.grid(padding=(0, 1), expand=True)
    rows.add_column(no_wrap=True, overflow="ellipsis", max_width=12)
    rows.add_column(no_wrap=True, ratio=1)
    rows.add_column(no_wrap=True, justify="right", min_width=5)
    rows.add_column(no_wrap=True, justify="right", min_width=5)
    rows.add_row("", "", Text("units", style="dim"), Text("lines", style="dim"))
    for sku in top:
        cells = max(1, round(sku.units / top[0].units * _BAR_CELLS))
        rows.add_row(Text(sku.sku), Text("█" * cells, style="yellow"), f"{sku.units:,}", f"{sku.lines:,}")
    for _ in range(_ROWS_TOP - len(top)):
        rows.add_row("", "", "", "")
    return _box("top SKUs by backlog", rows)


def _notices(scene: Scene, rows_max: int) -> Panel:
    rows = Table.grid(padding=(0, 1), expand=True)
    rows.add_column(no_wrap=True)
    rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    last: list[Notice] = list(scene.observed.last_notices[:rows_max])
    for notice in last:
        rows.add_row(Text(_short(notice), style=_NOTICE_STYLES.get(notice.type, "")), Text(notice.message))
    for _ in range(rows_max - len(last)):
        rows.add_row("", "")
    return _box("last notices", rows)


def _short(notice: Notice) -> str:
    return notice.type.replace("_", " ").lower()


def _foot(scene: Scene) -> list[Text]:
    lines: list[Text] = []
    if scene.traffic.behind_s >= _BEHIND_WORTH_TELLING_S:
        text = f" the workers do not keep up with this rate: the traffic is {scene.traffic.behind_s:.0f} s late"
        lines.append(Text(text, style="yellow"))
    if scene.traffic.provenance:
        lines.append(Text(f" {scene.traffic.provenance[0]}", style="dim", no_wrap=True, overflow="ellipsis"))
    return lines


def _numbers() -> Table:
    rows = Table.grid(padding=(0, 1), expand=True)
    rows.add_column(no_wrap=True, style="dim")
    rows.add_column(no_wrap=True, justify="right", ratio=1)
    rows.add_column(no_wrap=True, justify="right", min_width=7)
    return rows


def _box(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="dim", padding=(0, 1))


def _side_by_side(boxes: list[RenderableType] | list[Panel], ratios: list[int]) -> Table:
    row = Table.grid(expand=True)
    for ratio in ratios:
        row.add_column(ratio=ratio)
    row.add_row(*boxes)
    return row
