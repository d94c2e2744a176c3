"""Options that every command has, and how they become settings.

What must stay true: a flag wins over the environment, which wins over the file; a flag not given changes nothing.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from bostream.errors import ConfigurationError
from bostream.settings import Loaded, Settings, load_settings

Config = Annotated[
    Path | None, typer.Option("--config", help="Settings file; default: $BOSTREAM_CONFIG, else ./bostream.toml.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any setting, e.g. engine.partitions=4; repeat.")
]
App = Annotated[str | None, typer.Option("--app", help="Name of the application: group, internal topics.")]
Bootstrap = Annotated[str | None, typer.Option("--bootstrap-servers", help="host:port of Kafka brokers.")]


def load(config: Path | None, sets: list[str] | None, app: str | None, bootstrap: str | None, **more: object) -> Loaded:
    """Return the settings in force.

    Args:
        config: the settings file.
        sets: ``NAME=VALUE`` pairs.
        app: the application's name.
        bootstrap: the brokers.
        more: further flags by setting name with ``__`` for the dot.

    Raises:
        ConfigurationError: a pair without ``=``, or what :func:`bostream.settings.load_settings` refuses.
    """
    flags: dict[str, Any] = {"app": app, "kafka.bootstrap_servers": bootstrap}
    flags |= {name.replace("__", "."): value for name, value in more.items()}
    for pair in sets or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigurationError(f"--set {pair}: it must read NAME=VALUE, e.g. --set engine.partitions=4")
        flags[name] = value
    return load_settings(flags, config=config)


def settings_of(config: Path | None, sets: list[str] | None, app: str | None, bootstrap: str | None) -> Settings:
    """Return just the settings of :func:`load`."""
    return load(config, sets, app, bootstrap).settings
