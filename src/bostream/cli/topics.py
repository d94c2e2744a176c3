"""``bostream init``: create the topics of the topic table, or compare them with the cluster."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bostream.adapters.kafka.admin import KafkaTopics
from bostream.cli.exits import Exit, exit_on_error
from bostream.cli.main import app as cli
from bostream.cli.options import App, Bootstrap, Config, Set, settings_of
from bostream.cli.wiring import connection, topic_specs
from bostream.contract.topics import Difference, TopicSpec, differences


@cli.command()
def init(
    *,
    config: Config = None,
    sets: Set = None,
    app: App = None,
    bootstrap: Bootstrap = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare only; change nothing; exit 3 on a difference.")
    ] = False,
) -> None:
    """Create every topic that bostream needs and that does not exist yet. Topics that exist are never changed."""
    with exit_on_error():
        settings = settings_of(config, sets, app, bootstrap)
        cluster = KafkaTopics(connection(settings))
        specs = topic_specs(settings, cluster.brokers())
        actual = cluster.describe(spec.name for spec in specs)
        if not check:
            created = cluster.create(spec for spec in specs if spec.name not in actual)
            _tell_created(specs, created)
            actual = cluster.describe(spec.name for spec in specs)
        found = differences(specs, actual)
        if found:
            _tell_differences(found)
        elif check:
            print(f"all {len(specs)} topics are as they must be")
    if any(difference.is_fatal for difference in found) or (check and found):
        raise SystemExit(int(Exit.CONFIGURATION))


def _tell_created(specs: tuple[TopicSpec, ...], created: list[str]) -> None:
    print(f"{len(created)} topics created, {len(specs) - len(created)} existed already")
    by_name = {spec.name: spec for spec in specs}
    for name in created:
        spec = by_name[name]
        print(f"  {name}: {spec.role}, {spec.partitions} partitions, {spec.config['cleanup.policy']}")


def _tell_differences(found: list[Difference]) -> None:
    table = Table("topic", "what", "is", "must be", "remedy", title="topics that are not as they must be")
    for difference in found:
        style = "red" if difference.is_fatal else "yellow"
        table.add_row(
            difference.topic, difference.what, difference.actual, difference.expected, difference.remedy, style=style
        )
    Console(stderr=True).print(table)
