"""One partition of an internal log: its stage, its state, its timers and its place in the commit chain.

What must stay true: between two transactions the task stands exactly where its last commit record says; whatever a
batch did in between is either written down whole (:meth:`Task.applied`) or forgotten whole (:meth:`Task.discard`).
"""

from collections import deque
from collections.abc import Callable

import msgspec

from bostream.domain.state import TIMERS, Table, TableSpec, Value
from bostream.engine import chain
from bostream.engine.overlay import Overlay
from bostream.engine.ports import Origin, Output, Partition, Record, StageFactory, Store
from bostream.engine.timers import TimerQueue
from bostream.errors import BadRecordError, BostreamError, CorruptStateError, InvariantError, PoisonedRecordError

DeadLetter = Callable[[Record, Exception, str], Output]
"""Makes the dead letter of a record: (record, error, name of the stage)."""


class LogSpec(msgspec.Struct, frozen=True):
    """An internal log, the changelog of the state that its records build, and the stage that reads it."""

    topic: str
    changelog: str
    make_stage: StageFactory


class TaskState:
    """The tables of a task as its stage sees them: the overlay, with timers that the engine watches."""

    def __init__(self, overlay: Overlay, timers: TimerQueue) -> None:
        self._overlay = overlay
        self._timers = timers

    def table(self, spec: TableSpec[Value]) -> Table[Value]:
        """Return the table of this spec, always the same object."""
        if spec.number == TIMERS.number:
            return self._timers  # type: ignore[return-value]  # the one table whose value type is known to be Timer
        return self._overlay.table(spec)


class Task:
    """A running partition. Owned by the loop's thread of control; closed for good by :meth:`close`."""

    def __init__(
        self,
        spec: LogSpec,
        log: Partition,
        *,
        store: Store,
        link: chain.Link | None,
        position: int,
        owner: str,
        clean_objects_max: int,
        dead_letter: DeadLetter,
    ) -> None:
        self.log = log
        self.changelog = Partition(spec.changelog, log.number)
        self.position = position
        self.is_tick_pending = False
        self._link = link or chain.NO_LINK
        self._epoch = self._link.epoch + 1
        self._owner = owner
        self._store = store
        self._overlay = Overlay(store, clean_objects_max=clean_objects_max)
        self._timers = TimerQueue(self._overlay.table(TIMERS))
        self.stage = spec.make_stage(TaskState(self._overlay, self._timers))
        self._dead_letter = dead_letter
        self._poisoned: dict[int, Exception] = {}
        self._log_time = self._link.log_time
        self._next_offset = position
        self._outputs: list[Output] = []
        self._changes: list[tuple[bytes, bytes | None]] = []
        self._next_link = self._link

    @property
    def is_touched(self) -> bool:
        """Records were processed since the last transaction."""
        return self._next_offset != self.position

    @property
    def next_offset(self) -> int:
        """Offset of the next record of the log to process."""
        return self._next_offset

    @property
    def outputs(self) -> list[Output]:
        """What the batch wants produced, in order."""
        return self._outputs

    @property
    def next_timer_due(self) -> int:
        """When the first timer is due (µs of log time). Raises StoreFailedAt when the store cannot be read."""
        try:
            return self._timers.next_due
        except CorruptStateError as error:
            raise StoreFailedAt(self.log, error) from error

    # --- C1

    def process(self, records: deque[Record], keep_going: Callable[[], bool]) -> int:
        """Take records from the left and apply them, at least one, until none is left or ``keep_going`` says no.

        Returns:
            How many were applied.

        Raises:
            PoisonedRecordError: a record made the stage fail; the batch must be dropped.
            CorruptStateError: the local store cannot be read; carries ``partition``.
        """
        taken = 0
        while records and (taken == 0 or keep_going()):
            self._apply(records[0])
            records.popleft()
            taken += 1
        return taken

    def _apply(self, record: Record) -> None:
        emit = self._outputs.append
        log_time = max(self._log_time, record.timestamp)
        origin = Origin(record, log_time)
        try:
            if self._timers.next_due <= log_time:
                self._fire_timers(origin, log_time)
            poison = self._poisoned.get(record.offset)
            if poison is None:
                self.stage.process(record, origin, emit)
            else:
                emit(self._dead_letter(record, poison, self.stage.name))
        except BadRecordError as error:
            emit(self._dead_letter(record, error, self.stage.name))
        except CorruptStateError as error:
            error.add_note(f"partition {self.log}")
            raise StoreFailedAt(self.log, error) from error
        except BostreamError:
            raise
        except Exception as error:
            raise PoisonedRecordError(record.topic, record.partition, record.offset, error) from error
        self._log_time = log_time
        self._next_offset = record.offset + 1
        self.is_tick_pending = False

    def _fire_timers(self, origin: Origin, log_time: int) -> None:
        emit = self._outputs.append
        while (timer := self._timers.pop_due(log_time)) is not None:
            origin.log_time = max(self._log_time, timer.due)
            try:
                self.stage.fire(timer, origin, emit)
            except (CorruptStateError, InvariantError):
                raise
            except Exception as error:
                # no record is to blame, so none can be set aside: trying again would fail for ever
                raise InvariantError(
                    f"{self.log}: the timer {timer.kind} of {timer.subject} failed before offset {origin.record.offset}"
                ) from error
        origin.log_time = log_time

    def poison(self, offset: int, error: Exception) -> None:
        """Dead-letter the record at this offset instead of applying it, next time."""
        self._poisoned[offset] = error

    # --- C3

    def seal(self) -> tuple[list[Output], Output]:
        """End the batch: the changelog records (last value per key) and the commit record that follows them.

        Raises:
            StoreFailedAt: the local store cannot be read.
        """
        try:
            self.stage.finish(self._outputs.append)
            self._changes = list(self._overlay.changes())
        except CorruptStateError as error:
            raise StoreFailedAt(self.log, error) from error
        number = self.changelog.number
        records = [Output(self.changelog.topic, key, value, number) for key, value in self._changes]
        value, self._next_link = chain.next_commit(
            self._link,
            owner=self._owner,
            epoch=self._epoch,
            log_offset=self._next_offset,
            log_time=self._log_time,
            changelog_records=len(records),
            output_records=len(self._outputs),
        )
        return records, Output(self.changelog.topic, chain.commit_key(self._next_link.sequence), value, number)

    # --- C7

    def applied(self, commit_record_offset: int) -> None:
        """The transaction committed: write its changes with their place in the changelog, in one batch."""
        meta = chain.encode_meta(commit_record_offset + 1, self._next_link)
        self._changes.append((chain.META_KEY, meta))
        self._store.write(self._changes)
        self._overlay.committed()
        self._link = self._next_link
        for offset in range(self.position, self._next_offset) if self._poisoned else ():
            self._poisoned.pop(offset, None)
        self.position = self._next_offset
        self._outputs = []
        self._changes = []

    def discard(self) -> None:
        """The batch was dropped: stand where the last commit record says."""
        self._overlay.discard()
        self._timers.forget()
        self.stage.rollback()
        self._log_time = self._link.log_time
        self._next_offset = self.position
        self._outputs = []
        self._changes = []
        self.is_tick_pending = False

    def close(self) -> None:
        """Close the store."""
        self._store.close()


class StoreFailedAt(CorruptStateError):  # noqa: N818 - reads as what it says
    """The store of this partition cannot be trusted: wipe it and restore it."""

    def __init__(self, partition: Partition, error: CorruptStateError) -> None:
        super().__init__(f"{partition}: {error}")
        self.partition = partition
