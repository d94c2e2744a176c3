"""The transaction coordinator: producer ids with epochs, fencing, and transactions over partitions and group offsets.

What must stay true: of all producers of one transactional id only the newest epoch may act; a transaction ends
everywhere or nowhere. As with librdkafka (no KIP-890) the epoch stays the same from one transaction to the next, so a
late request of an earlier transaction can end a later one.
"""

from collections.abc import Mapping

from bostream.engine.ports import Headers, Offsets, Partition
from bostream.errors import FencedError
from bostream.testing.cluster.clock import VirtualClock
from bostream.testing.cluster.group import Group
from bostream.testing.cluster.log import Fate, PartitionLog, Tag


class Transaction:
    """One open transaction: where it has written, and the offsets that it will commit."""

    def __init__(self, started_s: float) -> None:
        self.tag = Tag()
        self.started_s = started_s
        self.partitions: set[Partition] = set()
        self.groups: list[Group] = []


class _Identity:
    """What the coordinator knows of one transactional id."""

    def __init__(self, timeout_s: float) -> None:
        self.epoch = -1
        self.timeout_s = timeout_s
        self.transaction: Transaction | None = None


class TransactionCoordinator:
    """All transactional ids of the cluster."""

    def __init__(self, logs: Mapping[Partition, PartitionLog], clock: VirtualClock) -> None:
        self._logs = logs
        self._clock = clock
        self._identities: dict[str, _Identity] = {}

    def initialise(self, transactional_id: str, timeout_s: float) -> int:
        """Make a new epoch, which fences the older ones; abort what they left open. Return the epoch."""
        identity = self._identities.setdefault(transactional_id, _Identity(timeout_s))
        identity.timeout_s = timeout_s
        self._end(identity, Fate.ABORTED)
        identity.epoch += 1
        return identity.epoch

    def write(
        self,
        transactional_id: str,
        epoch: int,
        partition: Partition,
        content: tuple[bytes | None, bytes | None, int, Headers],
    ) -> int:
        """Append (key, value, timestamp, headers) within the transaction; return the offset."""
        transaction = self._open(transactional_id, epoch)
        transaction.partitions.add(partition)
        return self._logs[partition].append(*content, transaction.tag)

    def add_offsets(self, transactional_id: str, epoch: int, group: Group, offsets: Offsets) -> None:
        """Make offsets of a group part of the transaction; they are pending until it ends."""
        transaction = self._open(transactional_id, epoch)
        if group not in transaction.groups:
            transaction.groups.append(group)
        group.hold(transaction.tag, offsets)

    def end(self, transactional_id: str, epoch: int, fate: Fate) -> None:
        """End whatever transaction is open now; none: nothing happens, as for a repeated request."""
        self._end(self._check(transactional_id, epoch), fate)

    def expire(self) -> None:
        """Abort transactions that are open for too long; a new epoch fences their producers."""
        now_s = self._clock.monotonic_s()
        for identity in self._identities.values():
            transaction = identity.transaction
            if transaction is not None and now_s - transaction.started_s > identity.timeout_s:
                self._end(identity, Fate.ABORTED)
                identity.epoch += 1

    def is_open(self, transactional_id: str) -> bool:
        """Tell whether this id has a transaction that has not ended."""
        identity = self._identities.get(transactional_id)
        return identity is not None and identity.transaction is not None

    def check(self, transactional_id: str, epoch: int) -> None:
        """Raise FencedError unless this epoch is the newest."""
        self._check(transactional_id, epoch)

    def _check(self, transactional_id: str, epoch: int) -> _Identity:
        identity = self._identities[transactional_id]
        if identity.epoch != epoch:
            raise FencedError(f"{transactional_id}: epoch {epoch} was fenced by epoch {identity.epoch}")
        return identity

    def _open(self, transactional_id: str, epoch: int) -> Transaction:
        identity = self._check(transactional_id, epoch)
        if identity.transaction is None:
            identity.transaction = Transaction(self._clock.monotonic_s())
        return identity.transaction

    def _end(self, identity: _Identity, fate: Fate) -> None:
        transaction = identity.transaction
        if transaction is None:
            return
        identity.transaction = None
        transaction.tag.fate = fate
        for partition in sorted(transaction.partitions):
            if partition in self._logs:
                self._logs[partition].end_transaction(transaction.tag)
        for group in transaction.groups:
            group.settle(transaction.tag)
