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

from bostream.engine.assignment import Assignment
from bostream.engine.batch import Batch
from bostream.engine.collecting import Collector, Limits
from bostream.engine.pending import Pending
from bostream.engine.ports import (
    Clock,
    Failpoint,
    GroupConsumer,
    LogEnds,
    Partition,
    ProducerFactory,
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
        self._topics = [*intake, *(spec.topic for spec in logs)]
        self._collector = Collector(
            consumer=consumer,
            assignment=assignment,
            pending=pending,
            intake=intake,
            log_topics=[spec.topic for spec in logs],
            ends=ends,
            clock=clock,
            dead_letter=dead_letter,
            limits=limits,
        )
        self._isolation = self._collector.isolation
        self._clock = clock
        self._limits = limits
        self._failpoint = failpoint
        self._producer: TransactionalProducer | None = None
        self._is_in_transaction = False
        self._failures = 0
        self._retry_at_s = 0.0

    @property
    def is_settled(self) -> bool:
        """Everything that was assigned is restored and runs."""
        return self._assignment.is_settled

    def open(self) -> None:
        """Fence the worker's old self, end its open transaction, and join the group."""
        self._producer = self._make_producer()
        self._consumer.subscribe(self._topics, self._assignment)

    # --- C0

    def collect(self) -> Batch | None:
        """Take what is there; None when there is nothing to do. Serves the group's callbacks and restores a slice."""
        self._failpoint("C0")
        started_s = self._clock.monotonic_s()
        self._collector.fetch(started_s, self._retry_at_s)
        if started_s < self._retry_at_s:
            return None
        batch = Batch(started_s)
        try:
            self._collector.plan(batch)
        except StoreFailedAt as error:
            self.abort(batch, error)
            return None
        if batch.is_empty:
            return None
        self._failpoint("C1")
        return batch

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
        self._collector.start_over()
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
            records_most = sum(end - (self._collector.position(partition) or 0) for partition, end in offsets.items())
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
