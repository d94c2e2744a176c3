"""Reads what the workers commit, as any consumer downstream would, and how much is still before them.

What must stay true: reading is ``read_committed`` and outside the workers' group, so it neither sees what was aborted
nor disturbs a rebalance; each thread ends when it is told to, and tells the error that ended it earlier.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from bostream.adapters.clock import SystemClock
from bostream.adapters.kafka.admin import KafkaTopics
from bostream.adapters.kafka.logs import KafkaLogEnds, KafkaLogReader
from bostream.adapters.kafka.reading import TopicReader, committed_offsets
from bostream.cli.demonstration.board import Board
from bostream.cli.wiring import connection, reader_settings
from bostream.contract.topics import documents_log, public_topic, skus_log
from bostream.engine.ports import LogRange, Partition
from bostream.errors import BostreamError, BrokerError, TransientError
from bostream.settings import Settings
from bostream.stages.intake import INPUT_TOPICS

_RECORDS_MAX: Final = 1_000
_WAIT_S: Final = 0.1
_ENDS_S: Final = 10.0
_LAG_EVERY_S: Final = 0.5
_LEADERS_S_MAX: Final = 30.0
_LOG_CRITICAL: Final = 2


class Observer(threading.Thread):
    """Feeds the board from its topics, from their beginning.

    Args:
        settings: of the workers.
        board: is fed.
        progress: knows where topics begin.

    Raises:
        BrokerError: the topics have no leaders.
    """

    def __init__(self, settings: Settings, board: Board, progress: "Progress") -> None:
        super().__init__(name="observer", daemon=True)
        self.error: BostreamError | None = None
        self._client: dict[str, Any] = {**reader_settings(settings), "fetch.wait.max.ms": 20}
        self._board = board
        self._clock = SystemClock()
        self._is_over = threading.Event()
        self._positions: dict[Partition, int] = {}
        self.partitions: Sequence[Partition] = TopicReader(self._client).partitions(board.topics)
        self._starts = _patiently(lambda: progress.ranges(self.partitions))

    def run(self) -> None:
        """Read until told to end."""
        reader = KafkaLogReader(self._client)
        try:
            for partition in self.partitions:
                reader.open(partition, self._starts[partition].start)
            while not self._is_over.is_set():
                records = reader.read(_RECORDS_MAX, _WAIT_S)
                self._board.take(records, self._clock.now())
                self._positions = {partition: reader.position(partition) for partition in self.partitions}
        except BostreamError as error:
            self.error = error
        finally:
            reader.shut()

    def has_read(self, ends: Mapping[Partition, int]) -> bool:
        """Tell whether everything before these ends was taken."""
        return all(self._positions.get(partition, 0) >= end for partition, end in ends.items())

    def end(self) -> None:
        """Stop reading."""
        self._is_over.set()
        self.join(_ENDS_S)


class Lag(msgspec.Struct, frozen=True):
    """How far the workers are.

    Attributes:
        inputs: public records that they have not taken in.
        internal: positions of the internal logs that they have not processed; now and then a marker is among them.
        unprocessed: where, as (committed, end), in partitions with anything left.
        taken: public records that they have taken in.
    """

    inputs: int
    internal: int
    unprocessed: dict[Partition, LogRange]
    taken: int


class Progress:
    """Asks the cluster how far the group is."""

    def __init__(self, settings: Settings) -> None:
        self._connection = quiet_connection(settings)
        self._app = settings.app
        self._topics = TopicReader(reader_settings(settings))
        prefix = settings.topics.prefix
        self._inputs = {public_topic(name, prefix) for name in INPUT_TOPICS}
        logs = [documents_log(self._app, prefix), skus_log(self._app, prefix)]
        self._partitions = self._topics.partitions([*sorted(self._inputs), *logs])
        self._ends = KafkaLogEnds(
            KafkaTopics(self._connection).client,
            group=self._app,
            partitions_per_log=settings.engine.partitions,
            clock=SystemClock(),
        )

    def lag(self) -> Lag:
        """Return it as of now.

        Raises:
            BrokerError, TransientError: the cluster does not answer.
        """
        committed = committed_offsets(self._connection, self._app, self._partitions)
        ranges = self._ends.ranges(self._partitions)
        inputs = internal = taken = 0
        unprocessed: dict[Partition, LogRange] = {}
        for partition, log_range in ranges.items():
            done = max(committed.get(partition, log_range.start), log_range.start)
            left = log_range.end - done
            if partition.topic in self._inputs:
                inputs += left
                taken += done - log_range.start
            else:
                # Behind the last record stands the marker of its transaction, which is nothing to process.
                internal += max(0, left - 1)
            if left > 0:
                unprocessed[partition] = LogRange(done, log_range.end)
        return Lag(inputs, internal, unprocessed, taken)

    def unprocessed_records(self) -> int:
        """Return how many records no worker has processed yet; exact, since it reads the ends of the internal logs."""
        unprocessed = self.lag().unprocessed
        inputs = sum(left.end - left.start for at, left in unprocessed.items() if at.topic in self._inputs)
        logs = {at: left for at, left in unprocessed.items() if at.topic not in self._inputs}
        return inputs + sum(record is not None for record in self._topics.read_ranges(logs))

    def ranges(self, partitions: Sequence[Partition]) -> dict[Partition, LogRange]:
        """Return where these partitions begin and end for everybody."""
        return self._ends.ranges(partitions)


class LagWatch(threading.Thread):
    """Keeps the last known lag; an answer that does not come leaves it as it was.

    Attributes:
        last: None until the first answer.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__(name="lag", daemon=True)
        self.last: Lag | None = None
        self._progress = progress
        self._is_over = threading.Event()

    def run(self) -> None:
        """Ask until told to end."""
        while not self._is_over.wait(_LAG_EVERY_S):
            try:
                self.last = self._progress.lag()
            except BostreamError:
                # A coordinator that moves, a broker that is busy: the next answer tells.
                continue

    def end(self) -> None:
        """Stop asking."""
        self._is_over.set()
        self.join(_ENDS_S)


def quiet_connection(settings: Settings) -> dict[str, Any]:
    """Return how to reach the brokers without a word on standard error, for clients that may outlive them a little."""
    return {**connection(settings), "log_level": _LOG_CRITICAL}


def _patiently(ask: Callable[[], dict[Partition, LogRange]]) -> dict[Partition, LogRange]:
    """Ask again for a while: topics created a moment ago may have no leader yet."""
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + _LEADERS_S_MAX
    while True:
        try:
            return ask()
        except TransientError as error:
            if clock.monotonic_s() >= deadline_s:
                raise BrokerError(f"no leader within {_LEADERS_S_MAX:.0f} s: {error}") from error
        time.sleep(_WAIT_S)
