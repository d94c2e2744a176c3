"""Records that were fetched and not yet processed, per partition, and the order in which intake takes them.

What must stay true: records of one partition leave in offset order; among input partitions the record with the smallest
timestamp leaves first, so that catching up after an outage looks like real time to the rules (R2, R22).
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable

from bostream.engine.ports import Partition, Record

_OVERHEAD_BYTES = 100


class Pending:
    """Fetched records by partition."""

    def __init__(self) -> None:
        self._queues: dict[Partition, deque[Record]] = {}

    def add(self, record: Record) -> None:
        """Append a record to its partition's queue."""
        self._queues.setdefault(record.source, deque()).append(record)

    def count(self, partition: Partition) -> int:
        """Return how many records of this partition wait."""
        queue = self._queues.get(partition)
        return len(queue) if queue else 0

    def queue(self, partition: Partition) -> deque[Record]:
        """Return the queue of a partition."""
        return self._queues.setdefault(partition, deque())

    def next_offset(self, partition: Partition, position: int) -> int:
        """Return the offset that will be fetched next, given the position of what was processed."""
        queue = self._queues.get(partition)
        return queue[-1].offset + 1 if queue else position

    def drop(self, partition: Partition) -> None:
        """Forget a partition."""
        self._queues.pop(partition, None)

    def clear(self) -> None:
        """Forget everything."""
        self._queues.clear()

    def has_any(self, partitions: Iterable[Partition]) -> bool:
        """Tell whether one of these partitions has a record waiting."""
        return any(self.count(partition) for partition in partitions)

    def take_merged(
        self,
        partitions: Iterable[Partition],
        *,
        records_max: int,
        bytes_max: int,
        is_behind: Callable[[Partition], bool],
    ) -> list[Record]:
        """Take records in timestamp order (ties by topic, partition) up to the bounds.

        Args:
            partitions: those to take from.
            records_max: upper bound of records; at least one is taken when one waits.
            bytes_max: upper bound of their bytes.
            is_behind: tells that more records of an empty partition exist and are on their way; nothing is taken past
                that moment, since they might be older.
        """
        sources = list(partitions)
        if any(not self.count(source) and is_behind(source) for source in sources):
            return []
        heads = [(self._queues[source][0].timestamp, source) for source in sources if self.count(source)]
        heapq.heapify(heads)
        taken: list[Record] = []
        size = 0
        while heads and len(taken) < records_max and (size < bytes_max or not taken):
            _, source = heads[0]
            queue = self._queues[source]
            record = queue.popleft()
            taken.append(record)
            size += len(record.value or b"") + _OVERHEAD_BYTES
            if queue:
                heapq.heapreplace(heads, (queue[0].timestamp, source))
                continue
            heapq.heappop(heads)
            if is_behind(source):
                break
        return taken
