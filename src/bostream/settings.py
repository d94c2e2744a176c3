"""One typed settings tree: defaults < ``bostream.toml`` < ``BOSTREAM_*`` < flags.

What must stay true: reading settings has no effect on anything and importing this module reads none; every value knows
where it came from; what would break exactly-once is refused with the reason; a secret is never shown, not even in an
error. Names of settings are dotted: ``engine.partitions`` is ``partitions`` under ``[engine]`` in the file and
``BOSTREAM_ENGINE__PARTITIONS`` in the environment.
"""

import difflib
import os
import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from bostream.errors import ConfigurationError

PREFIX = "BOSTREAM_"
NESTING = "__"
CONFIG_VARIABLE = "BOSTREAM_CONFIG"
DEFAULT_FILE = Path("bostream.toml")
DEFAULT_ORIGIN = "default"
FLAG_ORIGIN = "flag"
MASK = "********"

Scalar = str | int | float | bool
"""A value that librdkafka takes."""

_SECRET = re.compile(r"password|passphrase|secret|token|jaas|credential|(^|[._])key([._]|$)", re.IGNORECASE)
# A secret may be kept in a file, as Kubernetes and Docker mount them: `sasl.password.file = "/run/secrets/kafka"`.
_SECRET_FILE = re.compile(r"(?P<name>.*(?:password|passphrase|secret))\.file")
_SECRET_BYTES_MAX = 64 * 1024
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_PREFIX = r"^[A-Za-z0-9._-]*$"

_OURS = "bostream sets it"
REFUSED: Mapping[str, str] = {
    "acks": "a record must be on every in-sync replica before its transaction commits",
    "auto.commit.enable": "offsets are committed only inside the transaction that holds their effects",
    "auto.offset.reset": "a lost position must stop the worker; `latest` would skip records silently",
    "bootstrap.servers": "one cluster for all clients: set kafka.bootstrap_servers",
    "enable.auto.commit": "offsets are committed only inside the transaction that holds their effects",
    "enable.auto.offset.store": "offsets are committed only inside the transaction that holds their effects",
    "enable.idempotence": "without it a retried record could appear twice",
    "enable.partition.eof": f"{_OURS}: an end of partition would look like a failed record",
    "group.id": f"{_OURS}: it is the name of the application; set app",
    "group.instance.id": f"{_OURS}: it is made of application and instance; set instance",
    "group.protocol": f"{_OURS}: restarts rely on static members of the classic protocol",
    "heartbeat.interval.ms": "set engine.heartbeat_ms",
    "isolation.level": "reading uncommitted records would allocate on what is later aborted",
    "max.poll.interval.ms": "set engine.max_poll_interval_ms",
    "metadata.broker.list": "one cluster for all clients: set kafka.bootstrap_servers",
    "offset.store.method": "offsets live in Kafka, inside the transaction that holds their effects",
    "partition.assignment.strategy": "state moves between workers only under cooperative-sticky",
    "partitioner": "the state of a key is where murmur2 puts it; another partitioner would split it",
    "request.required.acks": "a record must be on every in-sync replica before its transaction commits",
    "session.timeout.ms": "set engine.session_timeout_ms",
    "transaction.timeout.ms": "set engine.transaction_timeout_ms",
    "transactional.id": f"{_OURS}: it fences this worker's old self; set instance",
}
"""Settings of librdkafka that cannot be passed through, and why."""

Positive = Annotated[int, Field(ge=1)]
Milliseconds = Annotated[int, Field(ge=1, le=86_400_000)]


def _host_name() -> str:
    return socket.gethostname()


class _Part(BaseModel):
    """A part of the tree: an unknown name is an error, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Kafka(_Part):
    """How to reach Kafka. Everything but ``bootstrap_servers`` goes to librdkafka as it is.

    In the file, names under ``[kafka]`` are for every client (``common`` here), those under ``[kafka.consumer]`` and
    ``[kafka.producer]`` for one kind. In the environment ``_`` stands for the dot: ``BOSTREAM_KAFKA__SASL_USERNAME``.
    """

    bootstrap_servers: Annotated[str, Field(min_length=1)] = "127.0.0.1:9092"
    common: Annotated[dict[str, Scalar], Field(repr=False)] = {}
    consumer: Annotated[dict[str, Scalar], Field(repr=False)] = {}
    producer: Annotated[dict[str, Scalar], Field(repr=False)] = {}

    @field_validator("common", "consumer", "producer")
    @classmethod
    def _refuse_what_breaks_the_guarantee(cls, passed: dict[str, Scalar]) -> dict[str, Scalar]:
        for name in passed:
            if name in REFUSED:
                raise ValueError(f"{name} cannot be set: {REFUSED[name]}")
        return passed


class Engine(_Part):
    """Bounds and timeouts of the transaction loop."""

    partitions: Annotated[int, Field(ge=1, le=1024)] = 8
    """Partitions of each internal log; fixed for ever by ``bostream init``."""
    batch_records_max: Positive = 2000
    batch_bytes_max: Positive = 8 * 1024 * 1024
    batch_ms_max: Milliseconds = 200
    """A batch takes no further record once its processing took this long."""
    poll_timeout_ms: Milliseconds = 100
    merge_wait_ms: Annotated[int, Field(ge=0, le=60_000)] = 100
    """How long intake waits for the other inputs before it goes on without them."""
    intake_lag_max_records: Positive = 20_000
    """Intake pauses while an internal log is further behind than this."""
    restore_slice_records: Positive = 5000
    retry_backoff_ms: Milliseconds = 100
    retry_backoff_max_ms: Milliseconds = 10_000
    failpoint: Annotated[str, Field(pattern=r"^(C[0-7]:[1-9][0-9]*(:kill|:stop)?)?$")] = ""
    """For tests only: ``C3:5`` ends the process by ``kill -9`` at the fifth pass of step C3."""
    session_timeout_ms: Milliseconds = 6000
    heartbeat_ms: Milliseconds = 500
    max_poll_interval_ms: Milliseconds = 60_000
    transaction_timeout_ms: Milliseconds = 6000

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.heartbeat_ms * 3 > self.session_timeout_ms:
            raise ValueError(
                f"heartbeat_ms {self.heartbeat_ms} must be at most a third of session_timeout_ms "
                f"{self.session_timeout_ms}, else one lost heartbeat ends the session"
            )
        if self.max_poll_interval_ms < self.session_timeout_ms:
            raise ValueError(
                f"max_poll_interval_ms {self.max_poll_interval_ms} must not be below session_timeout_ms "
                f"{self.session_timeout_ms}"
            )
        if self.retry_backoff_max_ms < self.retry_backoff_ms:
            raise ValueError(
                f"retry_backoff_max_ms {self.retry_backoff_max_ms} must not be below retry_backoff_ms "
                f"{self.retry_backoff_ms}"
            )
        return self


class State(_Part):
    """The local stores: a cache of the changelogs."""

    directory: Path = Path("bostream-state")
    cache_mb: Positive = 64
    write_buffer_mb: Positive = 64
    clean_objects_max: Annotated[int, Field(ge=0)] = 100_000
    """Decoded objects that stay in memory between batches."""


class Rules(_Part):
    """Numbers in the allocation rules. All times are log time."""

    duplicate_horizon_hours: Positive = 168
    """How long a repeated event is recognised, and a scan waits for the order that it names."""
    eta_change_threshold_hours: Annotated[int, Field(ge=0)] = 24
    """An ETA that moves by less is not told again."""
    notice_window_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 2000
    """Changes to an order within this time become one notification."""
    closed_retention_hours: Positive = 720
    """How long closed lines are remembered."""


class Output(_Part):
    """What is published."""

    format: Literal["avro", "json"] = "avro"


class Topics(_Part):
    """Names of topics."""

    prefix: Annotated[str, Field(pattern=_PREFIX, max_length=100)] = ""
    """Stands before the name of every topic."""


class Settings(BaseSettings):
    """The whole tree. Made by :func:`load_settings`; made directly, it takes its arguments and looks nowhere else."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter=NESTING, validate_default=False
    )

    app: Annotated[str, Field(pattern=_NAME, max_length=100)] = "bostream"
    """Name of the application: its consumer group, and the start of its internal topics' names."""
    instance: Annotated[str, Field(pattern=_NAME, max_length=100, default_factory=_host_name)]
    """Name of this worker, stable over restarts and unique in the application; default: the host name."""
    kafka: Kafka = Kafka()
    engine: Engine = Engine()
    state: State = State()
    rules: Rules = Rules()
    output: Output = Output()
    topics: Topics = Topics()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Look nowhere: :func:`load_settings` merges the layers itself, so that it knows where each value came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


class Loaded(NamedTuple):
    """Settings, and for each name that is not at its default the place that it came from."""

    settings: Settings
    origins: Mapping[str, str]


class InForce(NamedTuple):
    """One setting for people: secrets are masked."""

    name: str
    value: str
    origin: str


def load_settings(overrides: Mapping[str, Any] | None = None, *, config: Path | None = None) -> Loaded:
    """Read all layers and return the settings in force.

    Args:
        overrides: what flags say, by dotted name (``{"engine.partitions": 4}``); None as a value: flag not given.
        config: the file named by ``--config``; None: the one in ``BOSTREAM_CONFIG``, else ``bostream.toml`` if present.

    Raises:
        ConfigurationError: a layer cannot be read, or a setting is unknown, not allowed, or refused.
    """
    flags = {name: value for name, value in (overrides or {}).items() if value is not None}
    path = _config_path(config)
    layers = [
        *([(str(path), _read_file(path))] if path is not None else []),
        (PREFIX, dict(_leaves(_read_environment()))),
        (FLAG_ORIGIN, {_canonical(name): value for name, value in flags.items()}),
    ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for name, value in layer.items():
            values[name] = value
            origins[name] = _variable(name) if origin == PREFIX else origin
    _read_secret_files(values, origins)
    try:
        return Loaded(Settings(**_tree(values)), origins)
    except ValidationError as error:
        # Not chained: the original would show what was given, secrets too.
        raise ConfigurationError(_explain(error, values, origins)) from None


def settings_in_force(loaded: Loaded) -> list[InForce]:
    """Return every setting with its value and origin, for ``bostream config show``; secrets are masked."""
    dumped = loaded.settings.model_dump(mode="json")
    return [
        InForce(name, MASK if is_secret(name) else _shown(value), loaded.origins.get(name, DEFAULT_ORIGIN))
        for name, value in _leaves(_without_common(dumped))
    ]


def is_secret(name: str) -> bool:
    """Tell whether the value of this setting must never be shown."""
    return _SECRET.search(name) is not None


# --- layers


def _config_path(config: Path | None) -> Path | None:
    if config is not None:
        return config
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return dict(_leaves(tomllib.load(file)))
    except OSError as error:
        raise ConfigurationError(f"cannot read the settings file {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the settings file {path} is not valid TOML: {error}.") from error


def _read_environment() -> dict[str, Any]:
    """Return what ``BOSTREAM_*`` says, nested.

    A name without ``__`` that is no setting is left alone: Kubernetes describes services named bostream in such names.
    """
    for variable in os.environ:
        part, nesting, _ = variable.removeprefix(PREFIX).partition(NESTING)
        if variable.startswith(PREFIX) and nesting and part.lower() not in Settings.model_fields:
            raise ConfigurationError(f"{variable} is no setting.{_suggestion(part.lower(), Settings.model_fields)}")
    try:
        return EnvSettingsSource(Settings)()
    except ValueError as error:
        raise ConfigurationError(f"cannot read the settings in {PREFIX}*: {error}.") from None


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted name and value of everything that is not a table."""
    for key, value in tree.items():
        name = f"{above}.{key}" if above else key
        if isinstance(value, Mapping):
            yield from _leaves(value, name)
        else:
            yield _canonical(name), value


def _canonical(name: str) -> str:
    """Return the one spelling of a name: what goes to librdkafka has dots, whatever the layer allows."""
    part, _, rest = name.partition(".")
    if part != "kafka" or not rest:
        return name
    kind, dot, passed = rest.partition(".")
    if kind in ("consumer", "producer") and dot:
        return f"kafka.{kind}.{passed.replace('_', '.')}"
    passed = rest.replace("_", ".")
    return "kafka.bootstrap_servers" if passed == "bootstrap.servers" else f"kafka.{passed}"


def _tree(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested form that :class:`Settings` takes."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        branch = tree
        *above, leaf = _path(name)
        for key in above:
            branch = branch.setdefault(key, {})
            if not isinstance(branch, dict):
                raise ConfigurationError(f"{name} cannot be set: {key} is set as a whole.")
        branch[leaf] = value
    return tree


def _path(name: str) -> tuple[str, ...]:
    """Return where a name lies in the tree of models; names of librdkafka have dots inside."""
    part, _, rest = name.partition(".")
    if part == "kafka" and rest and rest != "bootstrap_servers":
        kind, dot, passed = rest.partition(".")
        return ("kafka", kind, passed) if dot and kind in ("consumer", "producer") else ("kafka", "common", rest)
    return tuple(name.split("."))


def _without_common(dumped: dict[str, Any]) -> dict[str, Any]:
    """Return the tree as the file spells it: ``common`` is ours alone."""
    kafka = dict(dumped["kafka"])
    return dumped | {"kafka": kafka | kafka.pop("common")}


def _read_secret_files(values: dict[str, Any], origins: dict[str, str]) -> None:
    """Replace ``….password.file`` by the password in that file, without the line's end."""
    for name in [name for name in values if name.startswith("kafka.") and _SECRET_FILE.fullmatch(name)]:
        path = Path(str(values.pop(name)))
        origin = origins.pop(name)
        try:
            with path.open(encoding="utf-8") as file:
                secret = file.read(_SECRET_BYTES_MAX).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigurationError(f"{name} (from {origin}): cannot read {path}: {reason}.") from error
        values[name.removesuffix(".file")] = secret
        origins[name.removesuffix(".file")] = f"{path} (by {origin})"


# --- words for people


def _variable(name: str) -> str:
    return PREFIX + NESTING.join(part.replace(".", "_") for part in _spelled(name)).upper()


def _spelled(name: str) -> tuple[str, ...]:
    path = _path(name)
    return tuple(part for part in path if part != "common") if path[0] == "kafka" else path


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _explain(error: ValidationError, values: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    """Return one line for each wrong setting: its name, what was given, where, and what is allowed."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        path = tuple(str(part) for part in problem["loc"])
        name = _name_of(path, values)
        origin = f" (from {origins[name]})" if name in origins else ""
        if problem["type"] == "extra_forbidden":
            lines.append(f"{name}{origin} is no setting.{_suggestion(name, _known_names())}")
        elif name in values:
            given = MASK if is_secret(name) else repr(values[name])
            lines.append(f"{name} = {given}{origin}: {_message(problem['msg'])}.")
        else:
            lines.append(f"{name}{origin}: {_message(problem['msg'])}.")
    return "\n".join(dict.fromkeys(lines))


def _name_of(path: tuple[str, ...], values: Mapping[str, Any]) -> str:
    """Return the dotted name for the place of an error; below a value of librdkafka pydantic adds the tried types."""
    matching = [name for name in values if path[: len(_path(name))] == _path(name)]
    return max(matching, key=len) if matching else ".".join(part for part in path if part != "common")


def _message(text: str) -> str:
    text = text.removeprefix("Value error, ").rstrip(".")
    return text[:1].lower() + text[1:] if text[:1].isupper() else text


def _known_names() -> list[str]:
    return [name for name, _ in _leaves(_without_common(Settings(instance="any").model_dump()))]


def _suggestion(name: str, known: Mapping[str, Any] | list[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]}?" if close else " `bostream config show` lists all settings."
