"""Sending records without a transaction: for producers upstream, not for the engine.

What must stay true: a record counts as sent only once every in-sync replica has it; none is sent twice by a retry, and
those of a partition arrive in the order in which they were handed over; what waits in memory is bounded.
"""

import logging
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bostream.adapters.kafka.errors import error_of
from bostream.adapters.kafka.records import Settings
from bostream.engine.ports import Output
from bostream.errors import BrokerError, ConfigurationError

logger = logging.getLogger(__name__)

_METADATA_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.1
_DEFAULTS: Final[Settings] = {
    "linger.ms": 20,
    "queue.buffering.max.kbytes": 65_536,
    # a send that nobody acknowledges becomes an error after this, so no wait here is for ever
    "message.timeout.ms": 60_000,
}
_GUARANTEES: Final[Settings] = {"enable.idempotence": True, "acks": "all", "partitioner": "murmur2_random"}


def _ignore(_acknowledged: int) -> None:
    """Report progress to nobody."""


class RecordSender:
    """An idempotent producer.

    Args:
        settings: how to reach the brokers, and what the user wants otherwise.
        on_progress: called with the number of records acknowledged so far, from inside the methods below.
    """

    def __init__(self, settings: Settings, on_progress: Callable[[int], None] = _ignore) -> None:
        self.acknowledged = 0
        self._on_progress = on_progress
        self._refused: KafkaError | None = None
        self._producer = Producer({**_DEFAULTS, **settings, **_GUARANTEES, "logger": logger})

    def check(self, topic: str) -> None:
        """See that the topic is there: producing to a missing one could create it with a broker's defaults.

        Raises:
            ConfigurationError: it is missing.
            BrokerError: no broker answers.
        """
        try:
            # all topics: asking for one by name is what would create it
            known = self._producer.list_topics(timeout=_METADATA_TIMEOUT_S).topics
        except KafkaException as exception:
            raise BrokerError(
                f"no broker answered within {_METADATA_TIMEOUT_S:.0f} s: {error_of(exception).str()}. "
                "Is kafka.bootstrap_servers right?"
            ) from exception
        if topic not in known or known[topic].error is not None:
            raise ConfigurationError(f"there is no topic {topic}. Create topics with `bostream init`.")

    def send(self, output: Output) -> None:
        """Hand over one record; waits while memory for unacknowledged ones is used up.

        Raises:
            BrokerError: this one or an earlier one was refused.
        """
        while True:
            try:
                self._producer.produce(
                    output.topic,
                    value=output.value,
                    key=output.key,
                    headers=list(output.headers) or None,
                    on_delivery=self._report,
                )
            except BufferError:
                self._producer.poll(_POLL_S)
            except KafkaException as exception:
                raise BrokerError(f"{output.topic} was not written: {error_of(exception).str()}") from exception
            else:
                break
            self._raise_refused()
        self._producer.poll(0)
        self._raise_refused()

    def flush(self) -> None:
        """Wait until everything handed over is acknowledged. Raises BrokerError when a record was refused."""
        while self._producer.flush(_POLL_S):
            self._raise_refused()
        self._raise_refused()

    def close(self) -> None:
        """Give up what was not acknowledged yet; it may have arrived or not."""
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)

    def _report(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.acknowledged += 1
            self._on_progress(self.acknowledged)
        elif self._refused is None:
            self._refused = error

    def _raise_refused(self) -> None:
        if self._refused is not None:
            raise BrokerError(f"a record was not taken: {self._refused.str()}")
