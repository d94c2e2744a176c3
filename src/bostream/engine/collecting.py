"""C0: taking records, and planning what one batch does with them.

What must stay true: internal work goes before intake; intake takes records in timestamp order over its partitions;
every wait has an upper bound; nothing here changes any state but what was fetched.
"""

from collections.abc import Mapping, Sequence

import msgspec

from bostream.domain.sku.events import Ticked
from bostream.engine.assignment import Assignment
from bostream.engine.batch import Batch, Budget, IntakeJob, TaskJob
from bostream.engine.isolation import Isolation
from bostream.engine.pending import Pending
from bostream.engine.ports import Clock, GroupConsumer, LogEnds, Output, Partition, Record, StatelessStage
from bostream.engine.task import DeadLetter

_MILLISECOND = 1000

_encode = msgspec.msgpack.Encoder().encode


class Limits(msgspec.Struct, frozen=True):
    """Every bound of the loop.

    Attributes:
        batch_records_max, batch_bytes_max, batch_seconds_max: where a batch ends at the latest.
        poll_timeout_s: how long an idle loop waits for a record.
        merge_wait_s: how long intake waits for an input partition that is behind before it goes on without it.
        intake_lag_max: intake pauses while an internal log is further behind than this many records.
        pending_records_max: fetched records held per partition before it is paused.
        restore_timeout_s: how long one slice of restoring waits for records.
        retry_backoff_s, retry_backoff_max_s: first and longest wait after an aborted batch.
        max_poll_interval_s: the group's; a batch that took more than half of it is aborted instead of committed.
    """

    batch_records_max: int = 2000
    batch_bytes_max: int = 8 << 20
    batch_seconds_max: float = 0.2
    poll_timeout_s: float = 0.1
    merge_wait_s: float = 0.1
    intake_lag_max: int = 20_000
    pending_records_max: int = 4000
    restore_timeout_s: float = 0.02
    retry_backoff_s: float = 0.02
    retry_backoff_max_s: float = 2.0
    max_poll_interval_s: float = 60.0


class Collector:
    """Fetches, restores a slice of what arrives, and plans batches."""

    def __init__(
        self,
        *,
        consumer: GroupConsumer,
        assignment: Assignment,
        pending: Pending,
        intake: Mapping[str, StatelessStage],
        log_topics: Sequence[str],
        ends: LogEnds,
        clock: Clock,
        dead_letter: DeadLetter,
        limits: Limits,
    ) -> None:
        self.isolation = Isolation(limits.batch_records_max)
        self._consumer = consumer
        self._assignment = assignment
        self._pending = pending
        self._intake = dict(intake)
        self._log_topics = list(log_topics)
        self._ends = ends
        self._clock = clock
        self._dead_letter = dead_letter
        self._limits = limits
        self._paused: set[Partition] = set()
        self._last_record_s: dict[Partition, float] = {}
        self._merge_blocked_since_s: float | None = None
        self._is_held_back = False
        self._turn = 0

    def fetch(self, now_s: float, retry_at_s: float) -> None:
        """Take what is there, serve the group's callbacks, and restore a slice of what arrives.

        Args:
            now_s: this moment of the monotonic clock.
            retry_at_s: until then no batch will be planned, so there is no hurry.
        """
        self._fetch(now_s, retry_at_s)
        for partition in self.isolation.suspects:
            if not self._assignment.is_ready(partition):
                self.isolation.leave(partition)
        self._assignment.advance(self._consumer, self._limits.restore_timeout_s)
        self._balance_fetching()

    def plan(self, batch: Batch) -> None:
        """Put work into a new batch. Raises StoreFailedAt when a store cannot be read."""
        budget = Budget(self._clock, records_max=self.isolation.records_max, seconds_max=self._limits.batch_seconds_max)
        self._plan_tasks(batch, budget)
        self._plan_intake(batch, budget)
        self._plan_ticks(batch)

    def position(self, partition: Partition) -> int | None:
        """Return the offset of the next record to process; None when the partition does not run here."""
        task = self._assignment.tasks.get(partition)
        return task.position if task is not None else self._assignment.inputs.get(partition)

    def start_over(self) -> None:
        """What was fetched was dropped."""
        self._merge_blocked_since_s = None

    def _fetch(self, now_s: float, retry_at_s: float) -> None:
        is_busy = self._pending.has_any(self._assignment.tasks) or not self._assignment.is_settled
        if is_busy:
            timeout_s = 0.0
        elif self._is_held_back:
            timeout_s = self._limits.poll_timeout_s
        elif self._merge_blocked_since_s is not None:
            timeout_s = self._limits.merge_wait_s / 10
        else:
            timeout_s = 0.0 if self._pending.has_any(self._assignment.inputs) else self._limits.poll_timeout_s
        if now_s < retry_at_s:
            timeout_s = min(retry_at_s - now_s, self._limits.poll_timeout_s)
        for record in self._consumer.fetch(self._limits.batch_records_max, timeout_s):
            position = self.position(record.source)
            # a record from before a seek, or of a partition that is not ours (yet), is not an error
            if position is not None and record.offset >= self._pending.next_offset(record.source, position):
                self._pending.add(record)
                self._last_record_s[record.source] = now_s

    def _balance_fetching(self) -> None:
        """Pause partitions with enough records in hand, resume them at half of that."""
        high = self._limits.pending_records_max
        owned = [*self._assignment.inputs, *self._assignment.tasks]
        self._paused.intersection_update(owned)
        full = [p for p in owned if p not in self._paused and self._pending.count(p) > high]
        hungry = [p for p in self._paused if self._pending.count(p) < high // 2]
        if full:
            self._consumer.pause(full)
            self._paused.update(full)
        if hungry:
            self._consumer.resume(hungry)
            self._paused.difference_update(hungry)

    def _plan_tasks(self, batch: Batch, budget: Budget) -> None:
        """Each batch begins with another partition, so that one that is always busy starves none."""
        planned = 0
        logs = sorted(self._assignment.tasks)
        first = self._turn % max(1, len(logs))
        self._turn += 1
        for log in logs[first:] + logs[:first]:
            waiting = self._pending.count(log)
            task = self._assignment.tasks[log]
            if not waiting or planned >= self.isolation.records_max or not self.isolation.admits(log, task.position):
                continue
            job = batch.stages.setdefault(task.stage.name, TaskJob(task.stage.name, budget))
            job.add(task, self._pending.queue(log))
            batch.tasks.append(task)
            planned += waiting

    def _plan_intake(self, batch: Batch, budget: Budget) -> None:
        """Internal work goes first: intake gets what is left of the budget, and nothing while a log is far behind."""
        waiting = sum(self._pending.count(task.log) for task in batch.tasks)
        records_max = budget.records_left - waiting
        sources = [p for p, position in self._assignment.inputs.items() if self.isolation.admits(p, position)]
        has_input = self._pending.has_any(sources)
        self._is_held_back = has_input and self._is_log_far_behind()
        if records_max <= 0 or not has_input or self._is_held_back:
            return
        for place, record in enumerate(self._take_intake(sources, records_max, batch.started_s)):
            stage = self._intake[record.topic]
            job = batch.intake.setdefault(stage.name, IntakeJob(stage, self._dead_letter))
            job.add(place, record, self.isolation.poison_of(record.source, record.offset))
            batch.intake_offsets[record.source] = record.offset + 1
            budget.spend(1)

    def _take_intake(self, sources: Sequence[Partition], records_max: int, now_s: float) -> list[Record]:
        """Merge by timestamp; wait for a partition that is behind, but not for ever."""
        blocked_since_s = self._merge_blocked_since_s
        may_wait = blocked_since_s is None or now_s - blocked_since_s < self._limits.merge_wait_s
        taken = self._pending.take_merged(
            sources,
            records_max=records_max,
            bytes_max=self._limits.batch_bytes_max,
            is_behind=self._is_behind if may_wait else lambda _: False,
        )
        if taken:
            self._merge_blocked_since_s = None
        elif blocked_since_s is None:
            self._merge_blocked_since_s = now_s
        return taken

    def _is_behind(self, partition: Partition) -> bool:
        """More records exist than were fetched. A transaction marker at the end looks like one: the wait is bounded."""
        end = self._consumer.high_watermark(partition)
        return end is not None and self._pending.next_offset(partition, self._assignment.inputs[partition]) < end

    def _is_log_far_behind(self) -> bool:
        lag = self._ends.lag(self._log_topics)
        return lag is not None and lag > self._limits.intake_lag_max

    def _plan_ticks(self, batch: Batch) -> None:
        """Append ``Ticked`` to quiet partitions with a timer due (R21), unless older input is still on its way."""
        if self._pending.has_any(self._assignment.inputs) or self.isolation.is_searching:
            return
        now = -(-self._clock.now() // _MILLISECOND) * _MILLISECOND  # Kafka keeps ms: round up, or a timer stays undue
        for log, task in self._assignment.tasks.items():
            is_quiet = batch.started_s - self._last_record_s.get(log, 0.0) >= self._limits.poll_timeout_s
            if is_quiet and not task.is_tick_pending and not self._pending.count(log) and task.next_timer_due <= now:
                task.is_tick_pending = True
                batch.ticks.append(Output(log.topic, None, _encode(Ticked(now)), log.number, now))
