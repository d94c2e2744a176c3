"""The processes of a demonstration: the workers, the traffic, and what ends them when we die.

What must stay true: each is a child of ours, ended by its process id; SIGTERM first, SIGKILL only when that did not end
it in time; nothing outlives the demonstration, not even when it dies by ``kill -9``.
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, Self

import msgspec

from bostream.adapters.clock import SystemClock
from bostream.cli.demonstration.traffic import Progress, Task, Word
from bostream.cli.exits import Exit
from bostream.embedded import watchdog
from bostream.errors import BrokerError

STOP_TIMEOUT_S: Final = 25.0
"""How long a worker may take to end in order: a little longer than it allows itself."""
CRASHES_MAX: Final = 5
"""Workers that ended by themselves are started again so often, all together."""

_HOPELESS: Final = frozenset({Exit.USAGE, Exit.CONFIGURATION, Exit.SCHEMA, Exit.INVARIANT})
_LAST_WORDS: Final = 3


class Guard:
    """Ends our processes and removes our directory when we cannot do it ourselves any more."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(watchdog.__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._tell(f"remove {directory}")

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """We end everything ourselves."""
        self._tell("quit")
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process.wait()

    def started(self, process: int) -> None:
        """Look after this one; its command line names our directory."""
        self._tell(f"start {process} {self._directory}")

    def ended(self, process: int) -> None:
        """It has ended."""
        self._tell(f"end {process}")

    def _tell(self, line: str) -> None:
        # A guard that is gone must not end the demonstration.
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(f"{line}\n".encode())
                self._process.stdin.flush()


class WorkerState(msgspec.Struct, frozen=True):
    """One worker for the table."""

    name: str
    process_id: int
    is_running: bool
    kills: int
    crashes: int


class Worker:
    """One ``bostream worker`` with its own state directory; started again under the same name.

    Args:
        name: its instance.
        flags: of its command line.
        directory: for its state and its log.
        guard: told of each process.
    """

    def __init__(self, name: str, flags: Sequence[str], directory: Path, guard: Guard) -> None:
        self.name = name
        self.kills = 0
        self.crashes = 0
        self.log = directory / "logs" / f"{name}.log"
        state = directory / "state" / name
        self._command = [sys.executable, "-m", "bostream", "worker", *flags]
        self._command += ["--instance", name, "--state-dir", str(state)]
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> WorkerState:
        """How it is."""
        process = self._process
        is_running = process is not None and process.poll() is None
        return WorkerState(self.name, 0 if process is None else process.pid, is_running, self.kills, self.crashes)

    @property
    def exit_code(self) -> int | None:
        """Its return code, once it has ended."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches the demonstration alone, which stops the workers in order.
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._guard.started(self._process.pid)

    def kill_and_restart(self) -> None:
        """End it as a crash would, and start it again."""
        self.kills += 1
        self.end_now()
        self.start()

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def await_end(self, timeout_s: float) -> bool:
        """Wait for the end that was asked for; tell whether it came, else insist on it."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            self.end_now()
            return False
        self._guard.ended(self._process.pid)
        return True

    def end_now(self) -> None:
        """End it whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._guard.ended(self._process.pid)

    def last_words(self) -> str:
        """Return the end of its log."""
        return last_words(self.log)


class Workers:
    """All workers: keeps them running, kills one now and then if that is wanted.

    Attributes:
        problems: sentences on what should not have happened.
    """

    def __init__(self, workers: Sequence[Worker], kill_every_s: float | None) -> None:
        self.problems: list[str] = []
        self._workers = list(workers)
        self._kill_every_s = kill_every_s
        self._clock = SystemClock()
        self._kill_due_s: float | None = None
        self._next_victim = 0
        self._given_up: set[str] = set()

    @property
    def states(self) -> tuple[WorkerState, ...]:
        """How they are."""
        return tuple(worker.state for worker in self._workers)

    @property
    def are_all_given_up(self) -> bool:
        """Whether none is left that would go on."""
        return len(self._given_up) == len(self._workers)

    def start(self) -> None:
        """Start all."""
        for worker in self._workers:
            worker.start()

    def tend(self, *, may_kill: bool) -> None:
        """Start again what ended by itself; kill the next one when it is due."""
        for worker in self._workers:
            code = worker.exit_code
            if code is not None and worker.name not in self._given_up:
                self._restart(worker, code)
        if self._kill_every_s is None or not may_kill:
            return
        now_s = self._clock.monotonic_s()
        if self._kill_due_s is None:
            self._kill_due_s = now_s + self._kill_every_s
        elif now_s >= self._kill_due_s:
            self._workers[self._next_victim].kill_and_restart()
            self._next_victim = (self._next_victim + 1) % len(self._workers)
            self._kill_due_s = now_s + self._kill_every_s

    def stop(self) -> None:
        """End all in order; what does not end in time is killed and counted as a problem."""
        for worker in self._workers:
            worker.terminate()
        deadline_s = self._clock.monotonic_s() + STOP_TIMEOUT_S
        for worker in self._workers:
            if not worker.await_end(deadline_s - self._clock.monotonic_s()):
                self.problems.append(f"{worker.name} did not end within {STOP_TIMEOUT_S:.0f} s and was killed")
            elif worker.exit_code != Exit.OK and worker.name not in self._given_up:
                self.problems.append(f"{worker.name} ended with {worker.exit_code}: {worker.last_words()}")

    def end_now(self) -> None:
        """End all, whatever they do."""
        for worker in self._workers:
            worker.end_now()

    def _restart(self, worker: Worker, code: int) -> None:
        worker.crashes += 1
        problem = f"{worker.name} ended by itself with {code}: {worker.last_words()}"
        self.problems.append(problem)
        if code in _HOPELESS or sum(each.crashes for each in self._workers) > CRASHES_MAX:
            self._given_up.add(worker.name)
        else:
            worker.start()


class TrafficProcess:
    """Our end of :mod:`bostream.cli.demonstration.traffic`.

    Args:
        task: what it is to make.
        directory: for its log.
        guard: told of the process.
    """

    def __init__(self, task: Task, directory: Path, guard: Guard) -> None:
        self.log = directory / "logs" / "traffic.log"
        self.progress = Progress()
        self._guard = guard
        self._changed = threading.Condition()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                # The directory on the command line is how the guard knows that the process is ours.
                [sys.executable, "-m", "bostream.cli.demonstration.traffic", str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        guard.started(self._process.pid)
        self._write(msgspec.json.encode(task))
        self._listener = threading.Thread(target=self._listen, name="traffic", daemon=True)
        self._listener.start()

    @property
    def is_done(self) -> bool:
        """Whether everything was made and sent, or it failed."""
        return self.progress.phase == "done" or self._process.poll() is not None

    @property
    def problem(self) -> str:
        """Why it failed; empty when it did not."""
        if self.progress.error:
            return f"the traffic ended: {self.progress.error}"
        code = self._process.poll()
        if code and self.progress.phase != "done":
            return f"the traffic ended with {code}: {last_words(self.log)}"
        return ""

    def say(self, word: Word) -> None:
        """Tell it something."""
        self._write(msgspec.json.encode(word))

    def await_phase(self, phases: Sequence[str], timeout_s: float) -> bool:
        """Wait until it is in one of these phases, or has ended."""
        with self._changed:
            return self._changed.wait_for(lambda: self.is_done or self.progress.phase in phases, timeout_s)

    def end(self) -> None:
        """End it, whatever it does."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._guard.ended(self._process.pid)
        self._listener.join(STOP_TIMEOUT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def end_now(self) -> None:
        """End it at once."""
        self._process.kill()
        self.end()

    def _listen(self) -> None:
        stream: IO[bytes] | None = self._process.stdout
        if stream is None:
            raise BrokerError("the traffic has no pipe")
        for line in stream:
            with self._changed:
                self.progress = msgspec.json.decode(line, type=Progress)
                self._changed.notify_all()
        self._process.wait()
        with self._changed:
            self._changed.notify_all()

    def _write(self, line: bytes) -> None:
        # A process that has ended is noticed by its return code.
        if self._process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(line + b"\n")
                self._process.stdin.flush()


def last_words(log: Path) -> str:
    """Return the end of a log, on one line."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "(it wrote no log)"
    return " | ".join(line.strip() for line in lines[-_LAST_WORDS:]) or "(it wrote nothing)"
