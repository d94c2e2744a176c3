"""The group consumer of the fake cluster.

What must stay true: callbacks run only inside ``fetch`` and ``close``; between two fetches the member knows only the
generation of the last one, so offsets sent across a rebalance are refused, as librdkafka's are.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bostream.engine.ports import GroupListener, Partition, Record
from bostream.errors import ConfigurationError, TransientError
from bostream.testing.cluster.faults import Fault, Process
from bostream.testing.cluster.group import Group, GroupMetadata, Member

if TYPE_CHECKING:
    from bostream.testing.cluster.cluster import FakeCluster


class FakeGroupConsumer:
    """A :class:`bostream.engine.ports.GroupConsumer`."""

    def __init__(self, cluster: "FakeCluster", process: Process, group: Group, *, is_static: bool) -> None:
        self._cluster = cluster
        self._process = process
        self._group = group
        self._instance = process.name if is_static else None
        self._topics: tuple[str, ...] = ()
        self._listener: GroupListener | None = None
        self._member: Member | None = None
        self._positions: dict[Partition, int | None] = {}
        self._paused: set[Partition] = set()
        self._watermarks: dict[Partition, int] = {}
        self._last_poll_s = cluster.clock.monotonic_s()
        self._is_closed = False

    # --- the port

    def subscribe(self, topics: Sequence[str], listener: GroupListener) -> None:
        """Remember the topics; the member joins with its first fetch."""
        self._enter("subscribe")
        self._topics = tuple(topics)
        self._listener = listener

    def fetch(self, records_max: int, timeout_s: float) -> list[Record]:
        """Serve the group's callbacks, or take records; when there is nothing, virtual time moves by the timeout."""
        fault = self._enter("fetch")
        self._last_poll_s = self._cluster.clock.monotonic_s()
        missing = [topic for topic in self._topics if not self._cluster.has_topic(topic)]
        if missing:
            raise ConfigurationError(f"a topic is missing: {', '.join(missing)}")
        if self._serve_group():
            return []
        records = [] if fault in (Fault.LOST, Fault.LATE) else self._take(records_max)
        if not records:
            self._cluster.clock.advance(timeout_s)
        return records

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Fetch nothing from these."""
        self._enter("pause")
        self._paused.update(p for p in partitions if p in self._positions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Fetch from these again."""
        self._enter("resume")
        self._paused.difference_update(partitions)

    def seek(self, partition: Partition, offset: int) -> None:
        """Fetch from here on; nothing happens for a partition that is not owned."""
        self._enter("seek")
        if partition in self._positions:
            self._positions[partition] = offset

    def committed(self, partitions: Sequence[Partition], timeout_s: float) -> dict[Partition, int | None]:
        """Return stable offsets; while one is pending, wait the whole timeout, as librdkafka does."""
        fault = self._enter("committed")
        if fault in (Fault.LOST, Fault.LATE, Fault.DONE) or self._group.is_pending(partitions):
            self._cluster.clock.advance(timeout_s)
            raise TransientError("committed offsets: timed out, a transaction is pending")
        return {partition: self._group.offsets.get(partition) for partition in partitions}

    def high_watermark(self, partition: Partition) -> int | None:
        """Return the end as of the last fetch that asked for this partition."""
        self._enter("high_watermark")
        return self._watermarks.get(partition)

    def group_metadata(self) -> object:
        """Return member and generation as of the last fetch."""
        self._enter("group_metadata")
        if self._member is None:
            return GroupMetadata(self._group, "", -1)
        return GroupMetadata(self._group, self._member.member_id, self._member.generation)

    def close(self) -> None:
        """Revoke everything; a dynamic member leaves, a static one only stops heartbeating."""
        self._enter("close")
        if self._is_closed:
            return
        if self._member is not None:
            if self._is_known():
                self._revoke(sorted(self._positions))
                self._member.last_seen_s = self._cluster.clock.monotonic_s()
                if self._instance is None:
                    self._group.remove(self._member.member_id)
            else:
                self._lose()
        self._is_closed = True

    # --- what the cluster asks

    @property
    def member_id(self) -> str | None:
        """The member that this client is, None before it joined."""
        return self._member.member_id if self._member else None

    @property
    def heartbeat_s(self) -> float | None:
        """Until when this client has shown that it lives; None: it no longer does."""
        now_s = self._cluster.clock.monotonic_s()
        if self._is_closed or not self._process.is_running:
            return None
        return min(now_s, self._last_poll_s + self._cluster.max_poll_interval_s)

    @property
    def is_past_max_poll(self) -> bool:
        """A dynamic member that does not poll leaves the group by itself."""
        idle_s = self._cluster.clock.monotonic_s() - self._last_poll_s
        return self._instance is None and not self._is_closed and idle_s > self._cluster.max_poll_interval_s

    # --- the group

    def _serve_group(self) -> bool:
        """Bring the member up to date; tell whether a callback ran."""
        if self._member is None:
            self._join()
        elif not self._is_known():
            self._lose()
            return True
        member = self._required_member()
        surplus = self._group.surplus(member, self._positions)
        if surplus:
            self._revoke(surplus)
        self._group.give_up(member, self._positions)
        arrivals = self._group.arrivals(member, self._positions)
        if arrivals:
            self._assign(arrivals)
        member.generation = self._group.generation
        return bool(surplus or arrivals)

    def _join(self) -> None:
        self._member = self._group.join(self._instance, self._topics)
        self._member.last_seen_s = self._cluster.clock.monotonic_s()

    def _is_known(self) -> bool:
        return self._group.knows(self._required_member().member_id)

    def _required_member(self) -> Member:
        if self._member is None:
            raise RuntimeError("the consumer has not joined")
        return self._member

    def _assign(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            self._positions[partition] = None
            self._paused.add(partition)
        self._required_listener().on_assigned(partitions)

    def _revoke(self, partitions: list[Partition]) -> None:
        self._forget(partitions)
        if partitions:
            self._required_listener().on_revoked(partitions)

    def _lose(self) -> None:
        lost = sorted(self._positions)
        self._member = None
        self._forget(lost)
        if lost:
            self._required_listener().on_lost(lost)

    def _forget(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            del self._positions[partition]
            self._paused.discard(partition)
            self._watermarks.pop(partition, None)

    def _required_listener(self) -> GroupListener:
        if self._listener is None:
            raise RuntimeError("the consumer has not subscribed")
        return self._listener

    # --- records

    def _take(self, records_max: int) -> list[Record]:
        taken: list[Record] = []
        ready = [partition for partition in sorted(self._positions) if partition not in self._paused]
        for partition in self._cluster.in_some_order(ready):
            log = self._cluster.log(partition)
            position = self._positions[partition]
            self._watermarks[partition] = log.end
            records_left = self._cluster.some_of(records_max - len(taken))
            records, reached = log.read(log.start if position is None else position, records_left)
            self._positions[partition] = reached
            taken += records
        return taken

    def _enter(self, name: str) -> Fault | None:
        if self._is_closed:
            raise RuntimeError("the consumer is closed")
        return self._cluster.enter(self._process, f"consumer.{name}")
