"""``bostream worker``: run one worker."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from bostream.cli.exits import exit_on_error
from bostream.cli.main import app as cli
from bostream.cli.options import App, Bootstrap, Config, Set, load
from bostream.cli.wiring import make_worker


@cli.command()
def worker(
    *,
    config: Config = None,
    sets: Set = None,
    app: App = None,
    bootstrap: Bootstrap = None,
    instance: Annotated[
        str | None, typer.Option("--instance", help="Stable name of this worker; unique in the group; default: host.")
    ] = None,
    state_directory: Annotated[Path | None, typer.Option("--state-dir", help="Where the local stores live.")] = None,
    log_level: Annotated[str, typer.Option("--log-level", help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Run one worker until SIGTERM or Ctrl-C; start more on other machines to share the partitions.

    A worker that is killed loses nothing: started again, or replaced, it goes on at its last committed transaction.
    """
    logging.basicConfig(
        level=log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("faust").setLevel(logging.ERROR)
    logging.getLogger("mode").setLevel(logging.ERROR)
    with exit_on_error():
        loaded = load(config, sets, app, bootstrap, instance=instance, state__directory=state_directory)
        make_worker(loaded.settings).run()
