"""The transactional producer of the fake cluster.

What must stay true: records reach the log when they are produced, as a background thread may send them, so a crash at
any later step leaves them there as data of an open transaction.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bostream.contract.partitioner import partition_for
from bostream.engine.ports import Offsets, Output, Partition
from bostream.errors import BadRecordError, FencedError, InDoubtError, TransientError
from bostream.testing.cluster.faults import Fault, Process
from bostream.testing.cluster.group import GroupMetadata
from bostream.testing.cluster.log import Fate

if TYPE_CHECKING:
    from bostream.testing.cluster.cluster import FakeCluster

_RECORD_OVERHEAD_BYTES = 100


class FakeTransactionalProducer:
    """A :class:`bostream.engine.ports.TransactionalProducer`."""

    def __init__(self, cluster: "FakeCluster", process: Process, transactional_id: str) -> None:
        self.is_tainted = False
        self._cluster = cluster
        self._process = process
        self._id = transactional_id
        self._is_in_transaction = False
        self._is_closed = False
        self._has_written = False
        self._failure: TransientError | FencedError | None = None
        self._reports: list[Callable[[], None]] = []
        fault = self._enter("init")
        if fault in (Fault.LOST, Fault.LATE):
            raise TransientError("init_transactions: timed out")
        self._epoch = cluster.transactions.initialise(transactional_id, cluster.transaction_timeout_s)
        if fault is Fault.DONE:
            raise TransientError("init_transactions: timed out")

    def begin(self) -> None:
        """Begin a transaction; the broker hears of it with the first record."""
        fault = self._enter("begin")
        if self._is_in_transaction:
            raise RuntimeError("begin within a transaction")
        if fault not in (None, Fault.RETRIED):
            self._time_out("begin_transaction")
        self._is_in_transaction = True
        self._has_written = False
        self._failure = None
        self._reports = []

    def produce(self, output: Output, on_delivered: Callable[[int], None] | None = None) -> None:
        """Append to the log at once; the report waits for ``flush``. What the broker refuses, ``flush`` says."""
        fault = self._enter("produce")
        self._require_transaction()
        if isinstance(self._failure, FencedError):
            raise self._failure
        size = len(output.value or b"") + len(output.key or b"") + _RECORD_OVERHEAD_BYTES
        if size > self._cluster.message_bytes_max:
            raise BadRecordError(
                "TOO_LARGE", f"produce to {output.topic}: {size} bytes are more than the cluster takes"
            )
        if self._failure is not None:
            return
        if fault in (Fault.LOST, Fault.LATE):
            self._failure = TransientError("delivery: timed out")
            return
        self._append(output, on_delivered)
        if fault is Fault.DONE:
            self._failure = TransientError("delivery: timed out")

    def _append(self, output: Output, on_delivered: Callable[[int], None] | None) -> None:
        partition = self._partition_of(output)
        if not self._cluster.has_partition(partition):
            self._failure = TransientError(f"delivery: {partition} does not exist")
            return
        timestamp = self._cluster.clock.now() if output.timestamp is None else output.timestamp
        content = (output.key, output.value, timestamp, output.headers)
        try:
            offset = self._cluster.transactions.write(self._id, self._epoch, partition, content)
        except FencedError as error:
            self._failure = error
            return
        self._has_written = True
        if on_delivered is not None:
            self._reports.append(lambda: on_delivered(offset))

    def _partition_of(self, output: Output) -> Partition:
        if output.partition is not None:
            return Partition(output.topic, output.partition)
        partitions = self._cluster.partitions_of(output.topic)
        return Partition(output.topic, 0 if output.key is None else partition_for(output.key, max(1, partitions)))

    def flush(self) -> None:
        """Hand out the reports, or the first failure."""
        fault = self._enter("flush")
        self._raise_failure()
        if fault in (Fault.LOST, Fault.LATE):
            self._time_out("flush")
        self._check_epoch()
        reports, self._reports = self._reports, []
        for report in reports:
            report()
        if fault is Fault.DONE:
            self._time_out("flush")

    def send_offsets(self, offsets: Offsets, group_metadata: object) -> None:
        """Make offsets part of the transaction; the group refuses a member that it does not know in this generation."""
        fault = self._enter("send_offsets")
        self._require_transaction()
        self._raise_failure()
        if fault in (Fault.LOST, Fault.LATE):
            self._time_out("send_offsets_to_transaction")
        if not isinstance(group_metadata, GroupMetadata):
            raise TypeError("group_metadata is not of this cluster")
        try:
            group_metadata.group.check(group_metadata)
            self._cluster.transactions.add_offsets(self._id, self._epoch, group_metadata.group, offsets)
        except (TransientError, FencedError) as error:
            self._failure = error
            raise
        self._has_written = True
        self._after(fault, "send_offsets_to_transaction")

    def commit(self) -> None:
        """Commit. A time-out here means that nobody knows."""
        fault = self._enter("commit")
        self._require_transaction()
        self._raise_failure()
        if fault in (Fault.LATE, Fault.RETRIED) and self._has_written:
            self._cluster.send_late(self._id, self._epoch, Fate.COMMITTED)
        if fault in (None, Fault.DONE, Fault.RETRIED) and self._has_written:
            self._end(Fate.COMMITTED)
        self._is_in_transaction = False
        if fault is Fault.RETRIED:
            self.is_tainted = True
        elif fault is not None:
            raise InDoubtError("commit_transaction was not answered")

    def abort(self) -> None:
        """Abort."""
        fault = self._enter("abort")
        self._require_transaction()
        if isinstance(self._failure, FencedError):
            raise self._failure
        if fault in (Fault.LATE, Fault.RETRIED) and self._has_written:
            self._cluster.send_late(self._id, self._epoch, Fate.ABORTED)
        if fault in (None, Fault.DONE, Fault.RETRIED) and self._has_written:
            self._end(Fate.ABORTED)
        self._is_in_transaction = False
        self._after(fault, "abort_transaction")

    def close(self) -> None:
        """Let the client go; an open transaction stays open."""
        self._enter("close")
        self._is_closed = True

    # --- helpers

    def _end(self, fate: Fate) -> None:
        try:
            self._cluster.transactions.end(self._id, self._epoch, fate)
        except FencedError as error:
            self._failure = error
            raise

    def _check_epoch(self) -> None:
        if not self._has_written:
            return
        try:
            self._cluster.transactions.check(self._id, self._epoch)
        except FencedError as error:
            self._failure = error
            raise

    def _after(self, fault: Fault | None, what: str) -> None:
        if fault is Fault.RETRIED:
            self.is_tainted = True
        elif fault is not None:
            self._time_out(what)

    def _time_out(self, what: str) -> None:
        self.is_tainted = True
        raise TransientError(f"{what}: timed out")

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _require_transaction(self) -> None:
        if not self._is_in_transaction:
            raise RuntimeError("there is no transaction")

    def _enter(self, name: str) -> Fault | None:
        if self._is_closed:
            raise RuntimeError("the producer is closed")
        return self._cluster.enter(self._process, f"producer.{name}")
