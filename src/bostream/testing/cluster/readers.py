"""Reading outside the group: a log reader for changelogs, and where logs begin and end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bostream.engine.ports import LogRange, Partition, Record
from bostream.errors import ConfigurationError, TransientError
from bostream.testing.cluster.faults import Fault, Process
from bostream.testing.cluster.group import Group

if TYPE_CHECKING:
    from bostream.testing.cluster.cluster import FakeCluster


class FakeLogReader:
    """A :class:`bostream.engine.ports.LogReader`."""

    def __init__(self, cluster: "FakeCluster", process: Process) -> None:
        self._cluster = cluster
        self._process = process
        self._positions: dict[Partition, int] = {}

    def open(self, partition: Partition, offset: int) -> None:
        """Begin at this offset."""
        self._cluster.enter(self._process, "reader.open")
        self._positions[partition] = offset

    def read(self, records_max: int, timeout_s: float) -> list[Record]:
        """Take what is there; when nothing is, virtual time moves by the timeout."""
        fault = self._cluster.enter(self._process, "reader.read")
        taken: list[Record] = []
        if fault not in (Fault.LOST, Fault.LATE):
            for partition in self._cluster.in_some_order(sorted(self._positions)):
                records_left = self._cluster.some_of(records_max - len(taken))
                records, reached = self._cluster.log(partition).read(self._positions[partition], records_left)
                self._positions[partition] = reached
                taken += records
        if not taken:
            self._cluster.clock.advance(timeout_s)
        return taken

    def position(self, partition: Partition) -> int:
        """Return how far it was read."""
        self._cluster.enter(self._process, "reader.position")
        return self._positions[partition]

    def close(self, partition: Partition) -> None:
        """Stop reading it."""
        self._cluster.enter(self._process, "reader.close")
        del self._positions[partition]

    def shut(self) -> None:
        """Give up the client."""
        self._cluster.enter(self._process, "reader.shut")
        self._positions.clear()


class FakeLogEnds:
    """A :class:`bostream.engine.ports.LogEnds`."""

    def __init__(self, cluster: "FakeCluster", process: Process, group: Group) -> None:
        self._cluster = cluster
        self._process = process
        self._group = group

    def ranges(self, partitions: Sequence[Partition]) -> dict[Partition, LogRange]:
        """Return both ends."""
        if self._cluster.enter(self._process, "ends.ranges") not in (None, Fault.RETRIED):
            raise TransientError("offsets: timed out")
        missing = [str(partition) for partition in partitions if not self._cluster.has_partition(partition)]
        if missing:
            raise ConfigurationError(f"missing: {', '.join(missing)}. Create it with `bostream init`.")
        return {partition: self._cluster.log(partition).range for partition in partitions}

    def lag(self, topics: Sequence[str]) -> int | None:
        """Return the greatest lag; never stale here, None when a hook says that the answer is not there yet."""
        if self._cluster.enter(self._process, "ends.lag") not in (None, Fault.RETRIED):
            return None
        return self._group.lag(topics)
