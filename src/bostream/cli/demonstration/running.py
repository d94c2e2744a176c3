"""Runs one demonstration: Kafka, topics, workers, traffic, the table, the clean end, the audit.

What must stay true: however it ends (time, Ctrl-C, an error), everything that it started is gone afterwards; the audit
is of everything that was processed, and whatever was not is said.
"""

import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import msgspec

from bostream.adapters.clock import SystemClock
from bostream.adapters.kafka.admin import KafkaTopics
from bostream.audit.findings import Findings
from bostream.audit.verify import audit
from bostream.cli.demonstration import words
from bostream.cli.demonstration.board import Board
from bostream.cli.demonstration.interrupts import Interrupts
from bostream.cli.demonstration.observing import Lag, LagWatch, Observer, Progress, quiet_connection
from bostream.cli.demonstration.plan import Plan
from bostream.cli.demonstration.processes import Guard, TrafficProcess, Worker, Workers
from bostream.cli.demonstration.report import Report, Seconds
from bostream.cli.demonstration.scene import RateMeter, Scene
from bostream.cli.demonstration.screen import AuditProgress, Screen, say
from bostream.cli.demonstration.traffic import Task, Word
from bostream.cli.produce import sending_settings
from bostream.cli.wiring import application_of, audited_topics, reader_settings, refuse_wrong_topics, topic_specs
from bostream.contract.schemas import load_schemas
from bostream.embedded import EmbeddedKafka
from bostream.embedded.artifacts import KAFKA_VERSION
from bostream.errors import BostreamError, BrokerError
from bostream.settings import Settings

SCENES_PER_SECOND: Final = 3
LOADING_S_MAX: Final = 180.0
DRAIN_S_MAX: Final = 180.0
"""How long the workers may take for what is before them when the traffic has ended."""
FLUSH_S_MAX: Final = 60.0
CATCH_UP_S_MAX: Final = 30.0
WARM_UP_S_MAX: Final = 15.0
"""Latency is measured from the moment at which the workers have caught up for the first time, or from here on."""

_QUIET_MARGIN_S: Final = 1.5
_HEAP_MB: Final = 384


class BeforeAudit(Protocol):
    """A hook for tests."""

    def __call__(self, settings: Settings) -> None:
        """Everything is processed and the workers have ended."""


def _nothing(settings: Settings) -> None:
    del settings


class _Stage(NamedTuple):
    """Everything that was started."""

    settings: Settings
    servers: str
    directory: Path
    board: Board
    observer: Observer
    progress: Progress
    lag: LagWatch
    traffic: TrafficProcess
    workers: Workers


class Demonstration:
    """One run.

    Args:
        plan: what to do.
        screen: where to show it.
        started_s: when the command began (monotonic seconds).
        before_audit: called when everything is processed and the workers have ended.
    """

    def __init__(
        self, plan: Plan, screen: Screen, started_s: float | None = None, before_audit: BeforeAudit = _nothing
    ) -> None:
        self._plan = plan
        self._screen = screen
        self._clock = SystemClock()
        self._started_s = self._clock.monotonic_s() if started_s is None else started_s
        self._before_audit = before_audit
        self._interrupts = Interrupts()
        self._rates = RateMeter()
        self._problems: list[str] = []
        self._traffic_began_s: float | None = None
        self._drained_s = self._to_table_s = 0.0

    def run(self) -> Report:
        """Run it to its end.

        Raises:
            BostreamError: it could not begin.
            KeyboardInterrupt: interrupted before the traffic, or a second time.
        """
        directory = Path(tempfile.mkdtemp(prefix="bostream-demo-"))
        (directory / "logs").mkdir()
        is_kept = True
        try:
            with self._interrupts_while_starting(), contextlib.ExitStack() as stack:
                stack.callback(self._screen.close)
                guard = stack.enter_context(Guard(directory))
                report = self._run_on(self._kafka(stack), directory, guard, stack)
            is_kept = bool(report.problems)
        except Exception:
            if _has_logs(directory):
                say(f"what it started has written: {directory / 'logs'}")
            raise
        except KeyboardInterrupt:
            is_kept = False
            raise
        finally:
            shutil.rmtree(directory / "state", ignore_errors=True)
            if not is_kept or not _has_logs(directory):
                shutil.rmtree(directory, ignore_errors=True)
        return report

    @contextlib.contextmanager
    def _interrupts_while_starting(self) -> Iterator[None]:
        """SIGTERM before the traffic ends it as Ctrl-C does."""
        kept = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, kept)

    # --- the beginning

    def _kafka(self, stack: contextlib.ExitStack) -> str:
        plan = self._plan
        if plan.bootstrap_servers is not None:
            self._screen.phase(f"using Kafka at {plan.bootstrap_servers}")
            return plan.bootstrap_servers
        self._screen.phase(f"starting Kafka {KAFKA_VERSION} …")
        return stack.enter_context(EmbeddedKafka(heap_mb=_HEAP_MB)).bootstrap_servers

    def _run_on(self, servers: str, directory: Path, guard: Guard, stack: contextlib.ExitStack) -> Report:
        plan = self._plan
        settings = plan.settings(servers)
        traffic = TrafficProcess(self._task(settings), directory, guard)
        stack.callback(traffic.end_now)
        self._create_topics(settings)
        flags = plan.flags(servers)
        names = [f"worker-{number}" for number in range(1, plan.workers + 1)]
        workers = Workers([Worker(name, flags, directory, guard) for name in names], plan.kill_worker_every_s)
        stack.callback(workers.end_now)
        self._screen.phase(f"starting {words.count(plan.workers, 'worker')} …")
        workers.start()
        board = Board(load_schemas(), plan.prefix)
        progress = Progress(settings)
        observer = Observer(settings, board, progress)
        lag = LagWatch(progress)
        stack.callback(observer.end)
        stack.callback(lag.end)
        observer.start()
        lag.start()
        stage = _Stage(settings, servers, directory, board, observer, progress, lag, traffic, workers)
        self._await_traffic(stage)
        with self._interrupts.caught():
            return self._play(stage)

    def _task(self, settings: Settings) -> Task:
        plan = self._plan
        return Task(
            producer=sending_settings(settings),
            reader=reader_settings(settings),
            prefix=plan.prefix,
            rate=plan.density_rate,
            is_paced=plan.rate is not None,
            speed_up=plan.speed_up,
            duration_s=plan.duration_s,
            seed=plan.seed,
            scenario=plan.scenario,
            run_id=plan.run_id,
            dataset=plan.dataset,
            lines=plan.lines,
        )

    def _create_topics(self, settings: Settings) -> None:
        cluster = KafkaTopics(quiet_connection(settings))
        specs = topic_specs(settings, cluster.brokers())
        existing = cluster.describe(spec.name for spec in specs)
        created = cluster.create(spec for spec in specs if spec.name not in existing)
        refuse_wrong_topics(cluster, settings)
        self._screen.phase(f"{words.count(len(created), 'topic')} created")

    def _await_traffic(self, stage: _Stage) -> None:
        if self._plan.dataset is not None:
            self._screen.phase(f"loading the dataset {self._plan.dataset} …")
        deadline_s = self._clock.monotonic_s() + LOADING_S_MAX
        self._to_table_s = self._clock.monotonic_s() - self._started_s
        while (
            not stage.traffic.await_phase(["ready"], 1 / SCENES_PER_SECOND) and self._clock.monotonic_s() < deadline_s
        ):
            stage.workers.tend(may_kill=False)
            self._scene(stage, "getting ready")
        if stage.traffic.problem:
            raise BrokerError(stage.traffic.problem)
        if stage.traffic.progress.phase != "ready":
            raise BrokerError(f"the traffic was not ready within {LOADING_S_MAX:.0f} s")

    # --- the play

    def _play(self, stage: _Stage) -> Report:
        self._traffic_began_s = began_s = self._clock.monotonic_s()
        self._run_traffic(stage)
        traffic_ended_s = self._clock.monotonic_s()
        unprocessed = self._drain(stage)
        states = stage.workers.states
        self._scene(stage, "stopping the workers")
        stage.lag.end()
        stage.workers.stop()
        self._catch_up(stage)
        last = (
            None if stage.lag.last is None else msgspec.structs.replace(stage.lag.last, inputs=unprocessed, internal=0)
        )
        self._scene(stage, "not all processed" if unprocessed else "done", last)
        self._screen.close()
        audit_began_s = self._clock.monotonic_s()
        findings = self._audit(stage.settings)
        ended_s = self._clock.monotonic_s()
        self._problems += stage.workers.problems
        return Report(
            plan=self._plan,
            kafka=self._kafka_words(stage),
            bootstrap_servers=stage.servers,
            observed=stage.board.look(self._clock.now()),
            traffic=stage.traffic.progress,
            workers=states,
            unprocessed=unprocessed,
            seconds=Seconds(
                to_table=round(self._to_table_s, 1),
                traffic=round(traffic_ended_s - began_s, 1),
                drain=round(self._drained_s - traffic_ended_s, 1),
                audit=round(ended_s - audit_began_s, 1),
                total=round(ended_s - self._started_s, 1),
            ),
            findings=findings,
            problems=tuple(self._problems),
            logs=str(stage.directory / "logs") if self._problems else None,
        )

    def _run_traffic(self, stage: _Stage) -> None:
        traffic = stage.traffic
        traffic.say(Word(unprocessed=0))
        told: object = None
        while not self._is_over(stage):
            stage.workers.tend(may_kill=True)
            last = stage.lag.last
            if last is not None and last is not told:
                told = last
                traffic.say(Word(unprocessed=last.inputs + last.internal))
            self._begin_measuring(stage)
            self._scene(stage, "running")
            self._pause()
        traffic.say(Word(is_enough=True))
        if not traffic.await_phase(["done"], FLUSH_S_MAX):
            self._problems.append(f"the traffic did not end within {FLUSH_S_MAX:.0f} s")
        if traffic.problem:
            self._problems.append(traffic.problem)
        traffic.end()

    def _is_over(self, stage: _Stage) -> bool:
        if self._interrupts.is_stopping or stage.traffic.is_done:
            return True
        if stage.observer.error is not None:
            self._problems.append(f"the observer ended: {stage.observer.error}")
            return True
        if stage.workers.are_all_given_up:
            return True
        duration_s = self._plan.duration_s
        return duration_s is not None and self._elapsed_s() >= duration_s

    def _begin_measuring(self, stage: _Stage) -> None:
        lag = stage.lag.last
        has_caught_up = lag is not None and lag.taken > 0 and lag.inputs <= self._plan.density_rate
        if has_caught_up or self._elapsed_s() >= WARM_UP_S_MAX:
            stage.board.measure_from(self._clock.now())

    def _drain(self, stage: _Stage) -> int:
        """Wait until everything is processed and quiet; return how many records are not."""
        quiet_s = stage.settings.rules.notice_window_ms / 1000 + _QUIET_MARGIN_S
        deadline_s = self._clock.monotonic_s() + DRAIN_S_MAX
        quiet_since_s: float | None = None
        unprocessed = 0
        while not stage.workers.are_all_given_up:
            stage.workers.tend(may_kill=False)
            self._scene(stage, "working off the rest")
            self._pause()
            now_s = self._clock.monotonic_s()
            unprocessed = self._unprocessed(stage, unprocessed)
            if unprocessed:
                quiet_since_s = None
            elif quiet_since_s is None:
                quiet_since_s = self._drained_s = now_s
            elif now_s - quiet_since_s >= quiet_s:
                return 0
            if now_s >= deadline_s:
                break
        self._drained_s = self._clock.monotonic_s()
        return self._unprocessed(stage, unprocessed)

    def _unprocessed(self, stage: _Stage, before: int) -> int:
        """Return the exact count while it may be zero, else the estimate that costs nothing."""
        lag = stage.lag.last
        if lag is not None and lag.inputs:
            return lag.inputs
        try:
            return stage.progress.unprocessed_records()
        except BostreamError:
            # A worker that was killed a moment ago keeps a transaction open: the next answer tells.
            return max(1, before)

    def _catch_up(self, stage: _Stage) -> None:
        """Let the observer read everything that the workers committed."""
        try:
            ranges = stage.progress.ranges(stage.observer.partitions)
        except BostreamError as error:
            self._problems.append(f"the ends of the outputs are unknown: {error}")
            return
        ends = {partition: log_range.end for partition, log_range in ranges.items()}
        deadline_s = self._clock.monotonic_s() + CATCH_UP_S_MAX
        while not stage.observer.has_read(ends) and self._clock.monotonic_s() < deadline_s:
            self._pause()
        if not stage.observer.has_read(ends):
            self._problems.append("the observer did not read all outputs: the counts are too low")
        stage.observer.end()
        stage.board.finish()

    def _audit(self, settings: Settings) -> Findings | None:
        self._before_audit(settings)
        self._screen.phase("audit: recomputing everything from the topics with the reference allocator …")
        progress = AuditProgress(self._clock)
        try:
            return audit(audited_topics(settings), application_of(settings), progress)
        except BostreamError as error:
            self._problems.append(f"the audit could not be run: {error}")
            return None
        finally:
            progress.close()

    # --- showing

    def _elapsed_s(self) -> float:
        return 0.0 if self._traffic_began_s is None else self._clock.monotonic_s() - self._traffic_began_s

    def _pause(self) -> None:
        time.sleep(1 / SCENES_PER_SECOND)

    def _kafka_words(self, stage: _Stage) -> str:
        where = f"Kafka {KAFKA_VERSION}, embedded" if self._plan.is_embedded else "your Kafka"
        return f"{where} at {stage.servers}"

    def _scene(self, stage: _Stage, phase: str, lag: Lag | None = None) -> None:
        observed = stage.board.look(self._clock.now())
        progress = stage.traffic.progress
        self._screen.show(
            Scene(
                plan=self._plan,
                kafka=self._kafka_words(stage),
                phase=phase,
                elapsed_s=self._elapsed_s(),
                observed=observed,
                lag=lag or stage.lag.last,
                workers=stage.workers.states,
                traffic=progress,
                rates=self._rates.rates(self._clock.monotonic_s(), observed, progress),
            )
        )


def _has_logs(directory: Path) -> bool:
    return any(log.stat().st_size for log in (directory / "logs").glob("*.log"))
