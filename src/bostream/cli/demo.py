"""``bostream demo``: everything at work on a real Kafka, and the proof at the end."""

import json
import logging
import sys
from typing import Annotated

import typer
from rich.console import Console

from bostream.adapters.clock import SystemClock
from bostream.cli.demonstration.plan import DATASET_RATE, DURATION_S, MODEL_RATE, Wishes, plan_of
from bostream.cli.demonstration.report import print_summary
from bostream.cli.demonstration.running import Demonstration
from bostream.cli.demonstration.screen import LiveScreen, PlainScreen, Screen
from bostream.cli.exits import exit_on_error
from bostream.cli.main import app as cli
from bostream.cli.options import App, Bootstrap, Config, Set
from bostream.traffic.scenarios import STORIES, Scenario

INTERRUPTED = 130
"""Exit code after Ctrl-C before there was anything to audit, or a second Ctrl-C: 128 + SIGINT, as shells have it."""

_STORIES = "; ".join(f"{name}: {story}" for name, story in STORIES.items())


@cli.command()
def demo(
    *,
    config: Config = None,
    sets: Set = None,
    app: App = None,
    bootstrap: Bootstrap = None,
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration",
            min=0,
            help=f"Seconds of traffic; 0: until Ctrl-C. Default {DURATION_S:.0f}; none with --lines.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            min=0,
            help=f"Input records a second, picks and ships included; 0: as fast as the workers can. Default "
            f"{MODEL_RATE:.0f}, with --dataset {DATASET_RATE:.0f}.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, other traffic.")] = 1,
    scenario: Annotated[Scenario, typer.Option("--scenario", help=f"{_STORIES}.")] = Scenario.STEADY,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Replay real baskets: completejourney (extra `datasets`).")
    ] = None,
    lines: Annotated[int | None, typer.Option("--lines", min=1, help="Order lines of the dataset to replay.")] = None,
    speed_up: Annotated[
        float | None,
        typer.Option(
            "--speed-up",
            min=0.001,
            help="Seconds of the traffic's own time for each second. Default: a day a minute; "
            "with --dataset what gives --rate.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=32, help="How many.")] = 2,
    partitions: Annotated[
        int | None, typer.Option("--partitions", min=1, max=1024, help="Partitions of each internal log.")
    ] = None,
    kill_worker_every: Annotated[
        float, typer.Option("--kill-worker-every", min=0, help="Kill (-9) and restart a worker every so many seconds.")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="No table; one JSON object at the end.")] = False,
) -> None:
    """Start a real Kafka, two workers and traffic; watch; then recompute everything and compare.

    Needs nothing installed and leaves nothing behind. Ctrl-C ends it early, with the audit of what was processed. With
    --bootstrap-servers it uses your Kafka, under topics of its own that it leaves there. Exit code 8 on a difference.
    """
    started_s = SystemClock().monotonic_s()
    # Clients complain about a broker that ends; what matters is told as an error, and workers have logs of their own.
    logging.getLogger("bostream").setLevel(logging.CRITICAL)
    console = Console()
    screen: Screen = LiveScreen(console) if console.is_terminal and not as_json else PlainScreen()
    wishes = Wishes(
        config=config,
        sets=tuple(sets or ()),
        app=app,
        bootstrap_servers=bootstrap,
        workers=workers,
        partitions=partitions,
        duration_s=duration,
        rate=rate,
        seed=seed,
        scenario=scenario,
        dataset=dataset,
        lines=lines,
        speed_up=speed_up,
        kill_worker_every_s=kill_worker_every,
    )
    try:
        with exit_on_error():
            report = Demonstration(plan_of(wishes), screen, started_s).run()
    except KeyboardInterrupt:
        print("interrupted: everything was ended, nothing was audited", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    if as_json:
        print(json.dumps(report.to_plain(), indent=2))
    else:
        print_summary(report, console)
    raise SystemExit(int(report.exit_code))
