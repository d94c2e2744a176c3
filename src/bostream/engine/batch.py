"""One batch: what was taken from the logs, the work that the stages do on it, and what came out.

What must stay true: the jobs of a batch are independent of each other, so a host may run them in any order; the
order in which outputs are produced depends on the input alone.
"""

from collections import deque
from collections.abc import Iterator

from bostream.engine.ports import Clock, Output, Partition, Record, StatelessStage
from bostream.engine.task import DeadLetter, Task
from bostream.errors import BadRecordError, BostreamError

_LOOK_AT_THE_CLOCK_EVERY = 16


class Budget:
    """Bounds of one batch: records and processing time."""

    def __init__(self, clock: Clock, *, records_max: int, seconds_max: float) -> None:
        self._clock = clock
        self._records_left = records_max
        self._deadline_s = clock.monotonic_s() + seconds_max

    @property
    def records_left(self) -> int:
        """How many records may still be taken."""
        return self._records_left

    def spend(self, records: int) -> None:
        """Count records that were taken elsewhere."""
        self._records_left -= records

    def keep_going(self) -> bool:
        """Count one record; tell whether another may be taken."""
        self._records_left -= 1
        if self._records_left <= 0:
            return False
        return self._records_left % _LOOK_AT_THE_CLOCK_EVERY != 0 or self._clock.monotonic_s() < self._deadline_s


class IntakeJob:
    """Records of one input topic with their places in the merged order of the intake."""

    def __init__(self, stage: StatelessStage, dead_letter: DeadLetter) -> None:
        self.stage_name = stage.name
        self.outputs: list[tuple[int, list[Output]]] = []
        self._stage = stage
        self._dead_letter = dead_letter
        self._records: list[tuple[int, Record, Exception | None]] = []

    def add(self, place: int, record: Record, poison: Exception | None = None) -> None:
        """Put a record into the job; with ``poison`` (why it failed before) it is dead-lettered."""
        self._records.append((place, record, poison))

    def run(self) -> None:
        """Process the records. One that makes the stage fail becomes a dead letter: nothing else depends on it."""
        for place, record, poison in self._records:
            if poison is None:
                self.outputs.append((place, self._process(record)))
            else:
                self.outputs.append((place, [self._dead_letter(record, poison, self.stage_name)]))

    def _process(self, record: Record) -> list[Output]:
        out: list[Output] = []
        try:
            self._stage.process(record, out.append)
        except BadRecordError as error:
            return [self._dead_letter(record, error, self.stage_name)]
        except BostreamError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a record does to a decoder, it must not stop the topic
            return [self._dead_letter(record, error, self.stage_name)]
        return out


class TaskJob:
    """Pending records of the running partitions of one stage."""

    def __init__(self, stage_name: str, budget: Budget) -> None:
        self.stage_name = stage_name
        self._budget = budget
        self._work: list[tuple[Task, deque[Record]]] = []

    def add(self, task: Task, queue: deque[Record]) -> None:
        """Put a partition into the job."""
        self._work.append((task, queue))

    def run(self) -> None:
        """Apply records partition by partition until the budget is spent; each partition gets at least one."""
        for task, queue in self._work:
            task.process(queue, self._budget.keep_going)


Job = IntakeJob | TaskJob


class Batch:
    """Everything between two transactions."""

    def __init__(self, started_s: float) -> None:
        self.started_s = started_s
        self.intake: dict[str, IntakeJob] = {}
        self.intake_offsets: dict[Partition, int] = {}
        self.stages: dict[str, TaskJob] = {}
        self.tasks: list[Task] = []
        self.ticks: list[Output] = []

    @property
    def jobs(self) -> list[Job]:
        """The work of the batch, one job per stage."""
        return [*self.intake.values(), *self.stages.values()]

    @property
    def is_empty(self) -> bool:
        """Nothing to process and nothing to append."""
        return not (self.intake or self.stages or self.ticks)

    def intake_outputs(self) -> Iterator[Output]:
        """Yield what intake emitted, in the merged order of its records."""
        placed = [slot for job in self.intake.values() for slot in job.outputs]
        for _, outputs in sorted(placed, key=lambda slot: slot[0]):
            yield from outputs

    def offsets(self) -> dict[Partition, int]:
        """Return the next offset of every partition of which records were processed."""
        return {**self.intake_offsets, **{task.log: task.next_offset for task in self.tasks if task.is_touched}}
