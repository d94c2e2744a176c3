"""``bostream``: the map of all commands.

What must stay true: each noun has its own module, which adds its commands to ``app``; :func:`run` imports them all.
"""

import importlib

import typer

app = typer.Typer(
    name="bostream",
    help="Real-time backorder allocation on Kafka, exactly once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_NOUNS = ("demo", "topics", "worker", "produce", "tail", "audit", "config")


def run() -> None:
    """Entry point of the ``bostream`` command."""
    for noun in _NOUNS:
        importlib.import_module(f"bostream.cli.{noun}")
    app()
