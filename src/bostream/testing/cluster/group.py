"""One consumer group of the classic protocol with cooperative rebalancing: members, generations, offsets.

What must stay true: a partition has at most one holder; it moves only after its holder gave it up (in its own ``fetch``
or ``close``) or was removed. Offsets of an open transaction are pending, and seen as such.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bostream.engine.ports import Offsets, Partition
from bostream.errors import FencedError, TransientError
from bostream.testing.cluster.log import Fate, PartitionLog, Tag


class GroupMetadata(NamedTuple):
    """Who commits offsets, as of when."""

    group: "Group"
    member_id: str
    generation: int


class Member:
    """One member as the coordinator sees it.

    Attributes:
        target: what it shall have after the running rebalance.
        held: what nobody else may get, since it may still be working on it.
        generation: that it knows of.
        last_seen_s: last heartbeat.
    """

    def __init__(self, member_id: str, instance: str | None, topics: Sequence[str]) -> None:
        self.member_id = member_id
        self.instance = instance
        self.topics = frozenset(topics)
        self.target: set[Partition] = set()
        self.held: set[Partition] = set()
        self.generation = -1
        self.last_seen_s = 0.0


class Group:
    """A consumer group and its coordinator."""

    def __init__(self, name: str, logs: Mapping[Partition, PartitionLog]) -> None:
        self.name = name
        self.generation = 0
        self.members: dict[str, Member] = {}
        self.offsets: dict[Partition, int] = {}
        self._logs = logs
        self._pending: dict[Tag, dict[Partition, int]] = {}
        self._fenced: set[str] = set()
        self._joins = 0

    # --- membership

    def join(self, instance: str | None, topics: Sequence[str]) -> Member:
        """Add a member. With the ``instance`` of another it takes its place and partitions, without a rebalance."""
        self._joins += 1
        member = Member(f"{instance or 'member'}-{self._joins:04d}", instance, topics)
        older = next((m for m in self.members.values() if instance is not None and m.instance == instance), None)
        self.members[member.member_id] = member
        if older is None:
            self.rebalance()
        else:
            del self.members[older.member_id]
            self._fenced.add(older.member_id)
            member.target, member.held = older.target, older.held
        return member

    def remove(self, member_id: str) -> None:
        """A member left, or its session expired."""
        if self.members.pop(member_id, None) is not None:
            self.rebalance()

    def knows(self, member_id: str) -> bool:
        """Tell whether this is a member. Raises FencedError when another took its place."""
        if member_id in self._fenced:
            raise FencedError(f"{member_id}: another member uses this group.instance.id")
        return member_id in self.members

    def rebalance(self) -> None:
        """Begin a new generation: balanced, and with as few moves as possible."""
        self.generation += 1
        members = sorted(self.members.values(), key=lambda m: (-len(m.held), m.member_id))
        partitions = {p for p in self._logs if any(p.topic in m.topics for m in members)}
        low, extra = divmod(len(partitions), max(1, len(members)))
        free = set(partitions)
        for place, member in enumerate(members):
            quota = low + (place < extra)
            member.target = set(_in_turn(member.held & free)[:quota])
            free -= member.target
        waiting = _in_turn(free)
        for place, member in enumerate(members):
            while waiting and len(member.target) < low + (place < extra):
                member.target.add(waiting.pop(0))

    def surplus(self, member: Member, owned: Iterable[Partition]) -> list[Partition]:
        """Return what the member must give up of what its client owns."""
        return sorted(set(owned) - member.target)

    def give_up(self, member: Member, owned: Iterable[Partition]) -> None:
        """The client owns only this now; what else it held is free. Moved partitions need a second round."""
        kept = set(owned) | (member.held & member.target)
        if member.held - kept:
            member.held &= kept
            self.generation += 1

    def arrivals(self, member: Member, owned: Iterable[Partition]) -> list[Partition]:
        """Return what the member gets now: its target, without what it has and what others still hold."""
        taken = {p for other in self.members.values() if other is not member for p in other.held}
        arriving = member.target - set(owned) - taken
        member.held |= arriving
        return sorted(arriving)

    # --- offsets

    def check(self, metadata: GroupMetadata) -> None:
        """Raise TransientError (abortable) or FencedError unless this member may commit offsets now."""
        if not self.knows(metadata.member_id):
            raise TransientError(f"send_offsets: {metadata.member_id} is no member of {self.name} (UNKNOWN_MEMBER_ID)")
        if metadata.generation != self.generation:
            raise TransientError(
                f"send_offsets: ILLEGAL_GENERATION {metadata.generation}, the group is at {self.generation}"
            )

    def hold(self, tag: Tag, offsets: Offsets) -> None:
        """Keep offsets until their transaction ends."""
        self._pending.setdefault(tag, {}).update(offsets)

    def settle(self, tag: Tag) -> None:
        """The transaction has ended."""
        offsets = self._pending.pop(tag, {})
        if tag.fate is Fate.COMMITTED:
            self.offsets.update(offsets)

    def is_pending(self, partitions: Iterable[Partition]) -> bool:
        """Tell whether an open transaction has offsets of one of these."""
        return any(p in offsets for offsets in self._pending.values() for p in partitions)

    def lag(self, topics: Sequence[str]) -> int:
        """Return the greatest distance from the committed offset to the end over these topics' partitions."""
        lags = [log.end - self.offsets.get(p, log.start) for p, log in self._logs.items() if p.topic in topics]
        return max(lags, default=0)


def _in_turn(partitions: Iterable[Partition]) -> list[Partition]:
    """Return them so that neighbours are of different topics: each member gets some of every topic."""
    return sorted(partitions, key=lambda partition: (partition.number, partition.topic))
