"""The transaction loop: everything that a batch does becomes true in one Kafka transaction, or not at all.

The numbered steps are those of docs/ARCHITECTURE.md; failpoints, tests and log lines use them::

    C0  take records        C1  run the stages over the overlay (nothing durable)
    C2  begin               C3  produce outputs, internal records, changelog, one commit record per touched partition
    C4  flush               C5  send offsets (last processed + 1, never position())
    C6  commit              C7  one write per store: overlay and place in the changelog; then the positions advance

What must stay true: a crash before C6 leaves nothing (the broker aborts, the stores are untouched); after C6 the
changelog has everything that C7 would have written. Between C2 and C6 nothing polls, so no callback of the group runs.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain as chained

import msgspec

from bostream.domain.sku.events import Ticked
from bostream.engine.assignment import Assignment
from bostream.engine.batch import Batch, Budget, IntakeJob, TaskJob
from bostream.engine.isolation import Isolation
from bostream.engine.pending import Pending
from bostream.engine.ports import (
    Clock,
    Failpoint,
    GroupConsumer,
    LogEnds,
    Output,
    Partition,
    ProducerFactory,
    Record,
    StatelessStage,
    TransactionalProducer,
)
from bostream.engine.task import DeadLetter, LogSpec, StoreFailedAt, Task
from bostream.errors import (
    BadRecordError,
    ConfigurationError,
    CorruptStateError,
    PoisonedRecordError,
    TransientError,
)

logger = logging.getLogger(__name__)

ABORTABLE = (TransientError, PoisonedRecordError, BadRecordError, CorruptStateError)
"""Errors after which a host calls :meth:`TransactionLoop.abort`; every other error ends the worker."""

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


class TransactionLoop:
    """One worker's loop. A host calls ``collect``, runs the batch's jobs, then ``commit``; on an error ``abort``."""

    def __init__(
        self,
        *,
        consumer: GroupConsumer,
        make_producer: ProducerFactory,
        assignment: Assignment,
        pending: Pending,
        intake: Mapping[str, StatelessStage],
        logs: Sequence[LogSpec],
        ends: LogEnds,
        clock: Clock,
        dead_letter: DeadLetter,
        limits: Limits,
        failpoint: Failpoint,
    ) -> None:
        self._consumer = consumer
        self._make_producer = make_producer
        self._assignment = assignment
        self._pending = pending
        self._intake = dict(intake)
        self._log_topics = [spec.topic for spec in logs]
        self._ends = ends
        self._clock = clock
        self._dead_letter = dead_letter
        self._limits = limits
        self._failpoint = failpoint
        self._producer: TransactionalProducer | None = None
        self._is_in_transaction = False
        self._paused: set[Partition] = set()
        self._last_record_s: dict[Partition, float] = {}
        self._merge_blocked_since_s: float | None = None
        self._is_held_back = False
        self._isolation = Isolation(limits.batch_records_max)
        self._turn = 0
        self._failures = 0
        self._retry_at_s = 0.0

    @property
    def is_settled(self) -> bool:
        """Everything that was assigned is restored and runs."""
        return self._assignment.is_settled

    def open(self) -> None:
        """Fence the worker's old self, end its open transaction, and join the group."""
        self._producer = self._make_producer()
        self._consumer.subscribe([*self._intake, *self._log_topics], self._assignment)

    # --- C0

    def collect(self) -> Batch | None:
        """Take what is there; None when there is nothing to do. Serves the group's callbacks and restores a slice."""
        self._failpoint("C0")
        started_s = self._clock.monotonic_s()
        self._fetch(started_s)
        for partition in self._isolation.suspects:
            if not self._assignment.is_ready(partition):
                self._isolation.leave(partition)
        self._assignment.advance(self._consumer, self._limits.restore_timeout_s)
        self._balance_fetching()
        if started_s < self._retry_at_s:
            return None
        batch = Batch(started_s)
        budget = Budget(
            self._clock, records_max=self._isolation.records_max, seconds_max=self._limits.batch_seconds_max
        )
        self._plan_tasks(batch, budget)
        self._plan_intake(batch, budget)
        try:
            self._plan_ticks(batch)
        except StoreFailedAt as error:
            self.abort(batch, error)
            return None
        if batch.is_empty:
            return None
        self._failpoint("C1")
        return batch

    def _fetch(self, now_s: float) -> None:
        is_busy = self._pending.has_any(self._assignment.tasks) or not self._assignment.is_settled
        if is_busy:
            timeout_s = 0.0
        elif self._is_held_back:
            timeout_s = self._limits.poll_timeout_s
        elif self._merge_blocked_since_s is not None:
            timeout_s = self._limits.merge_wait_s / 10
        else:
            timeout_s = 0.0 if self._pending.has_any(self._assignment.inputs) else self._limits.poll_timeout_s
        if now_s < self._retry_at_s:
            timeout_s = min(self._retry_at_s - now_s, self._limits.poll_timeout_s)
        for record in self._consumer.fetch(self._limits.batch_records_max, timeout_s):
            position = self._position(record.source)
            # a record from before a seek, or of a partition that is not ours (yet), is not an error
            if position is not None and record.offset >= self._pending.next_offset(record.source, position):
                self._pending.add(record)
                self._last_record_s[record.source] = now_s

    def _position(self, partition: Partition) -> int | None:
        task = self._assignment.tasks.get(partition)
        return task.position if task is not None else self._assignment.inputs.get(partition)

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
            if not waiting or planned >= self._isolation.records_max or not self._isolation.admits(log, task.position):
                continue
            job = batch.stages.setdefault(task.stage.name, TaskJob(task.stage.name, budget))
            job.add(task, self._pending.queue(log))
            batch.tasks.append(task)
            planned += waiting

    def _plan_intake(self, batch: Batch, budget: Budget) -> None:
        """Internal work goes first: intake gets what is left of the budget, and nothing while a log is far behind."""
        waiting = sum(self._pending.count(task.log) for task in batch.tasks)
        records_max = budget.records_left - waiting
        sources = [p for p, position in self._assignment.inputs.items() if self._isolation.admits(p, position)]
        has_input = self._pending.has_any(sources)
        self._is_held_back = has_input and self._is_log_far_behind()
        if records_max <= 0 or not has_input or self._is_held_back:
            return
        for place, record in enumerate(self._take_intake(sources, records_max, batch.started_s)):
            stage = self._intake[record.topic]
            job = batch.intake.setdefault(stage.name, IntakeJob(stage, self._dead_letter))
            job.add(place, record, self._isolation.poison_of(record.source, record.offset))
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
        if self._pending.has_any(self._assignment.inputs) or self._isolation.is_searching:
            return
        now = -(-self._clock.now() // _MILLISECOND) * _MILLISECOND  # Kafka keeps ms: round up, or a timer stays undue
        for log, task in self._assignment.tasks.items():
            is_quiet = batch.started_s - self._last_record_s.get(log, 0.0) >= self._limits.poll_timeout_s
            if is_quiet and not task.is_tick_pending and not self._pending.count(log) and task.next_timer_due <= now:
                task.is_tick_pending = True
                batch.ticks.append(Output(log.topic, None, _encode(Ticked(now)), log.number, now))

    # --- C2 to C7

    def commit(self, batch: Batch) -> None:
        """Make the batch true. Raises what the ports raise; the host then calls :meth:`abort` or ends the worker."""
        self._refuse_if_slow(batch)
        producer = self._fresh_producer()
        touched = [task for task in batch.tasks if task.is_touched]
        sealed = [(task, *task.seal()) for task in touched]
        self._failpoint("C2")
        producer.begin()
        self._is_in_transaction = True
        self._failpoint("C3")
        for output in chained(batch.intake_outputs(), batch.ticks):
            producer.produce(output)
        ends: dict[Partition, int] = {}
        for task, changes, commit_record in sealed:
            for output in chained(task.outputs, changes):
                producer.produce(output)
            producer.produce(commit_record, partial(ends.__setitem__, task.log))
        self._failpoint("C4")
        producer.flush()
        self._failpoint("C5")
        offsets = batch.offsets()
        if offsets:
            producer.send_offsets(offsets, self._consumer.group_metadata())
        self._failpoint("C6")
        producer.commit()
        self._is_in_transaction = False
        self._failpoint("C7")
        self._apply(batch, touched, ends)

    def _apply(self, batch: Batch, touched: Sequence[Task], ends: Mapping[Partition, int]) -> None:
        """The batch is true: nothing here may lead to the abort path, which would do it a second time."""
        offsets = batch.offsets()
        self._assignment.inputs.update(batch.intake_offsets)
        for task in touched:
            try:
                task.applied(ends[task.log])
            except CorruptStateError as error:
                logger.warning("%s: the store failed after the commit, restoring it: %s", task.log, error)
                self._assignment.restore_again(self._consumer, task.log)
        self._isolation.passed(offsets)
        self._failures = 0

    def _refuse_if_slow(self, batch: Batch) -> None:
        took_s = self._clock.monotonic_s() - batch.started_s
        if took_s > self._limits.max_poll_interval_s / 2:
            raise TransientError(f"the batch took {took_s:.1f} s: another member may own its partitions by now")

    def _fresh_producer(self) -> TransactionalProducer:
        """A straggling request of the old producer could end the next transaction: fence it by a new epoch first."""
        if self._producer is None or self._producer.is_tainted:
            return self._recycle()
        return self._producer

    def _recycle(self) -> TransactionalProducer:
        if self._producer is not None:
            logger.warning("recycling the producer after a time-out or a retry")
            self._producer.close()
            self._producer = None
        self._is_in_transaction = False
        self._producer = self._make_producer()
        return self._producer

    # --- abort path

    def abort(self, batch: Batch, error: Exception) -> None:
        """Drop the batch: abort, forget, seek back, and wait a little longer each time.

        Raises:
            FencedError, InDoubtError, BrokerError: from aborting; the worker ends.
        """
        logger.warning("batch aborted: %s", error)
        if self._is_in_transaction and self._producer is not None:
            try:
                self._producer.abort()
                self._is_in_transaction = False
            except TransientError:
                self._end_by_fencing()
        self._isolate(batch, error)
        self._assignment.rewind(self._consumer)
        if isinstance(error, StoreFailedAt) and error.partition in self._assignment.tasks:
            self._assignment.restore_again(self._consumer, error.partition)
        self._merge_blocked_since_s = None
        if isinstance(error, (BadRecordError, PoisonedRecordError)):
            return  # waiting would not make the record better
        self._failures += 1
        wait_s = min(self._limits.retry_backoff_s * 2 ** min(self._failures - 1, 10), self._limits.retry_backoff_max_s)
        self._retry_at_s = self._clock.monotonic_s() + wait_s

    def _end_by_fencing(self) -> None:
        """End the transaction by a new epoch, now if possible: other members may wait for its offsets."""
        try:
            self._recycle()
        except TransientError as error:
            logger.warning("the producer could not be made anew yet: %s", error)

    def _isolate(self, batch: Batch, error: Exception) -> None:
        """Find the one record that poisons the batch: by name, or by halves until it is alone."""
        if isinstance(error, PoisonedRecordError):
            self._assignment.tasks[Partition(error.topic, error.partition)].poison(error.offset, error.error)
        elif isinstance(error, BadRecordError):
            offsets = batch.offsets()
            if self._isolation.is_alone:
                raise ConfigurationError(f"the dead letter of the record before {offsets} is refused too: {error}")
            records_most = sum(end - (self._position(partition) or 0) for partition, end in offsets.items())
            if not self._isolation.narrow(offsets, records_most):
                return
            for partition, end in offsets.items():
                task = self._assignment.tasks.get(partition)
                if task is None:
                    self._isolation.poison(partition, end - 1, error)
                else:
                    task.poison(end - 1, error)

    # --- hosts without agents

    def step(self) -> bool:
        """Run one whole iteration in this thread; tell whether there was something to do."""
        batch = self.collect()
        if batch is None:
            return False
        try:
            for job in batch.jobs:
                job.run()
            self.commit(batch)
        except ABORTABLE as error:
            self.abort(batch, error)
        return True

    def close(self) -> None:
        """Leave the group first, so that the partitions move on at once; then close everything."""
        self._consumer.close()
        self._assignment.close()
        if self._producer is not None:
            self._producer.close()
            self._producer = None
