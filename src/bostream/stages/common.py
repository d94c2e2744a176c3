"""What the stages share: where records go, how internal ones are written, and what says where an effect comes from.

What must stay true: the key of an internal record is all that decides its partition, by Kafka's own default partitioner
over our own count; every published record has an id made of the log position and ordinal that it comes from.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from bostream.contract.codec import RecordWriter
from bostream.contract.identity import EventHeaders, event_id, join_key
from bostream.contract.partitioner import partition_for
from bostream.contract.records import OUTPUT_RECORDS, OutputRecord
from bostream.contract.topics import documents_log, public_topic, skus_log
from bostream.domain.cause import Cause
from bostream.domain.documents.events import AsnReceived, DocumentEvent, DocumentRecord
from bostream.domain.sku.events import SkuEvent, SkuRecord, Ticked
from bostream.domain.state import Timer
from bostream.engine.ports import Origin, Output, Record
from bostream.errors import BadRecordError, ConfigurationError

LogRecord = TypeVar("LogRecord", bound=DocumentRecord | SkuRecord)

UNDECODABLE: Final = "UNDECODABLE"
"""Reason of a dead-lettered record of an internal log."""

_encode = msgspec.msgpack.Encoder().encode


# --- internal logs


class InternalLogs:
    """The two internal logs of an application, and how records get there.

    Keys are the SKU in one and ``order/<order_id>`` or ``asn/<asn_id>`` in the other (ids percent-encoded): neither
    kind is a prefix of the other, so an order and an ASN with the same id never share a key.

    Args:
        app: the application's name.
        partitions: how many partitions each log has.
        prefix: what every topic's name begins with.
    """

    def __init__(self, app: str, partitions: int, prefix: str = "") -> None:
        if partitions < 1:
            raise ConfigurationError(f"internal logs need at least one partition, not {partitions}")
        self.documents = documents_log(app, prefix)
        self.skus = skus_log(app, prefix)
        self._partitions = partitions

    def to_documents(self, event: DocumentEvent, timestamp: int) -> Output:
        """Return the record that tells the document desk of an event; ``timestamp`` in µs."""
        kind, document_id = ("asn", event.asn_id) if isinstance(event, AsnReceived) else ("order", event.order_id)
        key = join_key(kind, document_id).encode()
        return Output(self.documents, key, _encode(event), partition_for(key, self._partitions), timestamp)

    def to_skus(self, event: SkuEvent, timestamp: int) -> Output:
        """Return the record that tells the SKU's book of an event; ``timestamp`` in µs."""
        key = event.sku.encode()
        return Output(self.skus, key, _encode(event), partition_for(key, self._partitions), timestamp)


def decode(decoder: msgspec.msgpack.Decoder[LogRecord], record: Record) -> LogRecord:
    """Return what an internal record says.

    Raises:
        BadRecordError: it is none of ours.
    """
    if record.value is None:
        raise BadRecordError(UNDECODABLE, "the value is null")
    try:
        return decoder.decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecordError(UNDECODABLE, f"the value is no record of this log ({type(error).__name__})") from None


# --- published records


class OutputTopic:
    """One output topic: its full name, and everything of its records that never changes.

    Args:
        name: the topic's name without prefix.
        app: the application's name.
        writer: encodes its records.
        prefix: what every topic's name begins with.
    """

    def __init__(self, name: str, app: str, writer: RecordWriter, prefix: str = "") -> None:
        self._topic = public_topic(name, prefix)
        self._write = writer.write
        self._headers = EventHeaders(app, name, writer.content_type)

    def output(self, key: str, record: OutputRecord | None, identity: str, cause: Cause) -> Output:
        """Return the record to be published under this key; None: a tombstone.

        ``identity`` is the event id, whether or not the record itself carries it.
        """
        headers = self._headers.of(
            event_id=identity,
            occurred_at=cause.occurred_at,
            subject=key,
            cause_event_id=cause.event_id,
            traceparent=cause.traceparent,
            tracestate=cause.tracestate,
        )
        value = None if record is None else self._write(record)
        return Output(self._topic, key.encode(), value, headers=headers)


class Outputs:
    """All output topics of an application.

    Args:
        app: the application's name.
        writers: by the topics' names without prefix, one for each output topic.
        prefix: what every topic's name begins with.

    Raises:
        ConfigurationError: a topic has no writer.
    """

    def __init__(self, app: str, writers: Mapping[str, RecordWriter], prefix: str = "") -> None:
        missing = OUTPUT_RECORDS.keys() - writers.keys()
        if missing:
            raise ConfigurationError(f"no writer for the output topics {', '.join(sorted(missing))}")
        self.allocations = OutputTopic("allocations", app, writers["allocations"], prefix)
        self.notifications = OutputTopic("notifications", app, writers["notifications"], prefix)
        self.backorder_lines = OutputTopic("backorder-lines", app, writers["backorder-lines"], prefix)
        self.stock_positions = OutputTopic("stock-positions", app, writers["stock-positions"], prefix)


# --- provenance


def next_id(origin: Origin) -> str:
    """Return the id of the next effect of a log record."""
    record = origin.record
    return event_id(record.topic, record.partition, record.offset, origin.next_ordinal())


def timer_cause(timer: Timer, record: Record, decoder: msgspec.msgpack.Decoder[Any]) -> Cause:
    """Return the cause of a timer's effects.

    Its id is that of the input behind the record that moved log time past the timer, or that record's position when
    there is none (it is a tick, or cannot be read); it happened at the moment for which the timer was set.
    """
    try:
        event = decode(decoder, record)
    except BadRecordError:
        event = None
    if event is None or isinstance(event, Ticked):
        moved_by = f"{record.topic}/{record.partition}/{record.offset}"
    else:
        moved_by = event.cause.event_id
    name = timer.kind.upper().replace("-", "_")
    return Cause(moved_by, f"timer/{name}", occurred_at=timer.due, received_at=record.timestamp)
