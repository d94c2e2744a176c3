"""Finding the one record that spoils a batch without naming itself: by halves, until it is alone.

What must stay true: while a spoiler is looked for, a batch takes nothing but what was in the batch that failed, so
that busy partitions can neither hide it nor wait for long; each failure makes the next batch smaller, so the
search ends.
"""

from bostream.engine.ports import Offsets, Partition


class Isolation:
    """How much a batch may take, and of which partitions.

    Args:
        records_max: of a batch when nothing is wrong.
    """

    def __init__(self, records_max: int) -> None:
        self.records_max = records_max
        self.is_alone = False
        self._most = records_max
        self._ends: dict[Partition, int] = {}
        self._poisoned: dict[tuple[Partition, int], Exception] = {}

    @property
    def is_searching(self) -> bool:
        """Only suspects may be taken."""
        return bool(self._ends)

    def admits(self, partition: Partition, position: int) -> bool:
        """Tell whether the next record of this partition may be taken."""
        return not self._ends or position < self._ends.get(partition, 0)

    def narrow(self, offsets: Offsets, records: int) -> bool:
        """A batch failed for one of its records; tell whether it was alone in it.

        Args:
            offsets: per partition the offset after its last record in the batch.
            records: at most so many records were in it.
        """
        self._ends = dict(offsets)
        self.is_alone = self.records_max == 1
        self.records_max = max(1, min(self.records_max, records) // 2)
        return self.is_alone

    def poison(self, partition: Partition, offset: int, error: Exception) -> None:
        """Remember that this record of an input is to be dead-lettered."""
        self._poisoned[partition, offset] = error

    def poison_of(self, partition: Partition, offset: int) -> Exception | None:
        """Return why this record of an input is to be dead-lettered, if it is."""
        return self._poisoned.get((partition, offset))

    def passed(self, offsets: Offsets) -> None:
        """A batch was committed."""
        self._poisoned = {at: error for at, error in self._poisoned.items() if at[1] >= offsets.get(at[0], 0)}
        if self.is_alone:
            self._ends = {}  # it was the spoiler, on its way to the dead letters
            self.is_alone = False
        self._ends = {p: end for p, end in self._ends.items() if offsets.get(p, 0) < end}
        if not self._ends:
            self.records_max = min(self.records_max * 2, self._most)

    def leave(self, partition: Partition) -> None:
        """Forget a partition that is no longer ours: its next owner looks for himself."""
        self._ends.pop(partition, None)
        if not self._ends:
            self.is_alone = False

    @property
    def suspects(self) -> list[Partition]:
        """The partitions that the spoiler may be of."""
        return list(self._ends)
