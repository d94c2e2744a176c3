"""``bostream config show``: the settings in force and where each came from."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bostream.cli.exits import exit_on_error
from bostream.cli.main import app as cli
from bostream.cli.options import App, Bootstrap, Config, Set, load
from bostream.settings import settings_in_force

config_app = typer.Typer(no_args_is_help=True, help="Look at the settings.")
cli.add_typer(config_app, name="config")


@config_app.command()
def show(
    *,
    config: Config = None,
    sets: Set = None,
    app: App = None,
    bootstrap: Bootstrap = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show every setting in force with its origin; secrets are masked."""
    with exit_on_error():
        rows = settings_in_force(load(config, sets, app, bootstrap))
    if as_json:
        print(json.dumps({row.name: {"value": row.value, "origin": row.origin} for row in rows}, indent=2))
        return
    table = Table("setting", "value", "from")
    for row in rows:
        table.add_row(row.name, row.value, row.origin)
    Console().print(table)
