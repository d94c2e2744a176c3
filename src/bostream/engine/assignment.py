"""What this worker owns: input partitions, running tasks, and partitions on their way in.

What must stay true: a partition is processed only between its step 5 (restored, resumed) and its revocation;
callbacks run only inside ``fetch``, so never inside a transaction.
"""

import logging
from collections.abc import Callable, Sequence

from bostream.engine.pending import Pending
from bostream.engine.ports import GroupConsumer, LogEnds, Partition
from bostream.engine.restore import Restoration, Restored, Restorer
from bostream.engine.task import LogSpec, Task
from bostream.errors import ChainBrokenError, ConfigurationError, TransientError

logger = logging.getLogger(__name__)

MakeTask = Callable[[LogSpec, Restored], Task]


class Assignment:
    """The partitions of one group member; a :class:`bostream.engine.ports.GroupListener`."""

    def __init__(
        self,
        logs: Sequence[LogSpec],
        *,
        ends: LogEnds,
        restorer: Restorer,
        make_task: MakeTask,
        pending: Pending,
        committed_timeout_s: float,
    ) -> None:
        self.inputs: dict[Partition, int] = {}
        self.tasks: dict[Partition, Task] = {}
        self._logs = {spec.topic: spec for spec in logs}
        self._ends = ends
        self._restorer = restorer
        self._make_task = make_task
        self._pending = pending
        self._committed_timeout_s = committed_timeout_s
        self._arriving: set[Partition] = set()
        self._restoring: set[Partition] = set()
        self._doubted: set[Partition] = set()

    @property
    def is_settled(self) -> bool:
        """Everything that was assigned runs."""
        return not self._arriving and not self._restoring

    def is_ready(self, partition: Partition) -> bool:
        """Records of this partition may be processed."""
        return partition in self.inputs or partition in self.tasks

    # --- callbacks of the group

    def on_assigned(self, partitions: Sequence[Partition]) -> None:
        """Remember them; the loop brings them in slice by slice."""
        logger.info("assigned %s", ", ".join(map(str, partitions)))
        self._arriving.update(partitions)

    def on_revoked(self, partitions: Sequence[Partition]) -> None:
        """Let go of them: no transaction is open now, so their stores are exactly at their last commit."""
        logger.info("revoked %s", ", ".join(map(str, partitions)))
        for partition in partitions:
            self._let_go(partition)

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        """Let go of them; somebody else may own them already, which their stores need not know."""
        logger.warning("lost %s", ", ".join(map(str, partitions)))
        for partition in partitions:
            self._let_go(partition)

    def _let_go(self, partition: Partition) -> None:
        self._pending.drop(partition)
        self._arriving.discard(partition)
        self._doubted.discard(partition)
        self.inputs.pop(partition, None)
        if partition in self._restoring:
            self._restoring.discard(partition)
            self._restorer.drop(self._changelog_of(partition))
        task = self.tasks.pop(partition, None)
        if task is not None:
            task.discard()
            task.close()

    # --- bringing partitions in (steps 1 to 5 of restore.py)

    def advance(self, consumer: GroupConsumer, timeout_s: float) -> None:
        """Do one slice of the work that arriving partitions need; the others go on in between."""
        if self._arriving:
            self._look_up(consumer)
        for restored in self._restorer.step(timeout_s):
            self._restoring.discard(restored.log)
            self._doubted.discard(restored.log)
            task = self._make_task(self._logs[restored.log.topic], restored)
            self.tasks[restored.log] = task
            self._start(consumer, restored.log, restored.position)
        for log, error in self._restorer.take_doubts().items():
            self._doubt(log, error)

    def _doubt(self, log: Partition, error: ChainBrokenError) -> None:
        """A log that contradicts itself is looked at once more, after the group was heard again.

        A worker that slept between two of the five steps may have lost the partition, and sees what its successor did.
        """
        if log in self._doubted:
            raise error
        logger.warning("looking once more before giving up: %s", error)
        self._doubted.add(log)
        self._restoring.discard(log)
        self._arriving.add(log)

    def _look_up(self, consumer: GroupConsumer) -> None:
        arriving = sorted(self._arriving)
        changelogs = [self._changelog_of(partition) for partition in arriving if partition.topic in self._logs]
        try:
            committed = consumer.committed(arriving, self._committed_timeout_s)  # step 1
            ranges = self._ends.ranges([*arriving, *changelogs])  # step 2
        except TransientError as error:
            logger.info("waiting for the broker, or for a transaction that another member left open: %s", error)
            return
        for partition in arriving:
            offset = committed.get(partition)
            log_range = ranges[partition]
            if offset is not None and offset < log_range.start:
                raise ConfigurationError(
                    f"{partition}: the group has committed offset {offset}, but the log begins at "
                    f"{log_range.start}: retention removed {log_range.start - offset} unprocessed records. "
                    "Raise retention.ms; to accept the loss, move the group's offset to the start of the log with "
                    "kafka-consumer-groups."
                )
            if offset is not None and offset > log_range.end:
                raise ConfigurationError(
                    f"{partition}: the group has committed offset {offset}, but the log ends at {log_range.end}: "
                    "the topic was recreated or truncated. To read it from its start, move the group's offset there "
                    "with kafka-consumer-groups."
                )
            self._arriving.discard(partition)
            if partition.topic in self._logs:
                changelog = self._changelog_of(partition)
                self._restoring.add(partition)
                self._restorer.add(
                    Restoration(partition, changelog, committed=offset, changelog_range=ranges[changelog]),
                    log_range.start,
                )
            else:
                self.inputs[partition] = log_range.start if offset is None else offset
                self._start(consumer, partition, self.inputs[partition])

    def _start(self, consumer: GroupConsumer, partition: Partition, position: int) -> None:
        logger.debug("running %s from offset %d", partition, position)
        consumer.seek(partition, position)
        consumer.resume([partition])

    def restore_again(self, consumer: GroupConsumer, partition: Partition) -> None:
        """The store of a running task cannot be trusted: wipe it and bring the partition in anew."""
        task = self.tasks.pop(partition)
        task.close()
        consumer.pause([partition])
        self._pending.drop(partition)
        self._restorer.wipe(task.changelog)
        self._arriving.add(partition)

    def _changelog_of(self, partition: Partition) -> Partition:
        return Partition(self._logs[partition.topic].changelog, partition.number)

    # --- the abort path

    def rewind(self, consumer: GroupConsumer) -> None:
        """Seek every running partition back to its last committed offset and forget what was fetched and computed."""
        self._pending.clear()
        for task in self.tasks.values():
            task.discard()
            consumer.seek(task.log, task.position)
        for partition, offset in self.inputs.items():
            consumer.seek(partition, offset)

    def close(self) -> None:
        """Close every store; the worker ends."""
        for partition in list(self.tasks):
            self._let_go(partition)
        self._restorer.shut()
