"""Records of any topic of ours -> what they say, as plain values for JSON.

What must stay true: whatever the bytes are, decoding gives a :class:`Seen`; what cannot be read is shown as such, with
its place and its bytes. Times leave as RFC 3339 in UTC, as in the public JSON format.
"""

import base64
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

import msgspec

from bostream.cli.tailing.topic_names import NamedTopic
from bostream.contract.codec import RecordReader
from bostream.contract.deadletter import CONNECT_PREFIX, DEAD_LETTER_SUFFIX, REASON_HEADER
from bostream.contract.json_format import Plain, compile_times_writer
from bostream.contract.records import PublicRecord
from bostream.contract.schemas import Schemas
from bostream.contract.topics import TopicRole
from bostream.domain.documents.events import DocumentRecord
from bostream.domain.documents.state import ASNS, ORDERS
from bostream.domain.keys import Part, unpack
from bostream.domain.sku import state as sku_state
from bostream.domain.sku.events import SkuRecord
from bostream.domain.sku.rank import time_text
from bostream.domain.state import TIMERS, TableSpec
from bostream.engine.chain import ENGINE_TABLE, CommitRecord, is_commit_key
from bostream.engine.ports import Record
from bostream.errors import BadRecordError, InvariantError

_TABLES: Final[dict[str, tuple[TableSpec[Any], ...]]] = {
    "documents-changelog": (TIMERS, ORDERS, ASNS),
    "skus-changelog": (
        TIMERS,
        sku_state.HEADS,
        sku_state.STOCK,
        sku_state.LINES,
        sku_state.LANES,
        sku_state.QUEUE,
        sku_state.HOLDERS,
        sku_state.INBOUND,
        sku_state.INBOUND_ETAS,
        sku_state.PARKED,
        sku_state.SEEN,
        sku_state.CLAIMS,
        sku_state.COVERS,
    ),
}
_LOG_RECORDS: Final[dict[str, Any]] = {"documents": DocumentRecord, "skus": SkuRecord}
_TIMES: Final = frozenset(
    {
        "accepted_at", "cancel_after", "closed_at", "due", "ended_at", "eta", "eta_told", "forget_due", "log_time",
        "need_by", "now", "occurred_at", "parked_at", "received_at", "seniority", "settled_at", "told_eta",
        "waiting_since", "window_due",
    }
)  # fmt: skip
"""Names of times in internal records and rows, where nothing but the name says so."""

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError, ValueError)


class Letter(msgspec.Struct, frozen=True):
    """What the headers of a dead letter say: why, and where the record lay (empty where they do not say)."""

    reason: str
    message: str
    topic: str
    partition: str
    offset: str
    stage: str
    error_class: str
    headers: tuple[tuple[str, str], ...]


class Seen(msgspec.Struct, frozen=True):
    """One record, decoded as far as possible.

    Attributes:
        topic: where it was read.
        record: as read.
        key: the key as text or, in a changelog, its parts.
        value: the public or internal record, or the row; None for a null value, or where it cannot be read.
        plain: the same, as plain values for JSON.
        fault: why it cannot be read, ``REASON: sentence``; empty when it can.
        table: of a changelog's row: the number of its table.
        table_name: its name; empty for a table that this version does not know.
        letter: of a dead letter.
    """

    topic: NamedTopic
    record: Record
    key: str | tuple[Part, ...] | None
    value: Any = None
    plain: Any = None
    fault: str = ""
    table: int | None = None
    table_name: str = ""
    letter: Letter | None = None

    @property
    def place(self) -> str:
        """Where it is, as ``topic/partition@offset``."""
        return f"{self.topic.base}/{self.record.partition}@{self.record.offset}"


Decode = Callable[[Record], Seen]


def decoder_of(topic: NamedTopic, schemas: Schemas) -> Decode:
    """Return what decodes the records of a topic."""
    match topic.role:
        case TopicRole.INPUT | TopicRole.OUTPUT:
            return _public_decoder(topic, schemas)
        case TopicRole.INTERNAL_LOG:
            return _log_decoder(topic)
        case TopicRole.CHANGELOG:
            return _changelog_decoder(topic)
        case TopicRole.DEAD_LETTERS:
            return _letter_decoder(topic, schemas)


def _public_decoder(topic: NamedTopic, schemas: Schemas) -> Decode:
    read = RecordReader(topic.base, schemas).read
    fix_times = compile_times_writer(schemas.newest(topic.base).parsed)

    def decode(record: Record) -> Seen:
        key = text_of(record.key)
        if record.value is None:
            return Seen(topic, record, key)
        try:
            value: PublicRecord = read(record.value)
        except BadRecordError as error:
            return Seen(topic, record, key, fault=str(error))
        plain = msgspec.to_builtins(value)
        fix_times(plain)
        return Seen(topic, record, key, value, plain)

    return decode


def _log_decoder(topic: NamedTopic) -> Decode:
    decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(_LOG_RECORDS[topic.base])

    def decode(record: Record) -> Seen:
        key = text_of(record.key)
        if record.value is None:
            return Seen(topic, record, key)
        try:
            value = decoder.decode(record.value)
        except _UNREADABLE as error:
            return Seen(topic, record, key, fault=f"UNDECODABLE: no record of this log ({error})")
        return Seen(topic, record, key, value, named(value))

    return decode


def _changelog_decoder(topic: NamedTopic) -> Decode:
    tables = {spec.number: (spec, msgspec.msgpack.Decoder(spec.value)) for spec in _TABLES[topic.base]}
    commits = msgspec.msgpack.Decoder(CommitRecord)

    def decode(record: Record) -> Seen:
        if not record.key:
            return Seen(topic, record, None, fault="UNDECODABLE: a row without a key")
        number, rest = record.key[0], record.key[1:]
        if record.key.startswith(ENGINE_TABLE):
            name = "commits" if is_commit_key(record.key) else "engine"
            row = Seen(topic, record, (rest.hex(),), table=number, table_name=name)
            return _row(row, commits.decode)
        spec, decoder = tables.get(number, (None, None))
        try:
            key = unpack(rest)
        except (InvariantError, *_UNREADABLE) as error:
            return Seen(topic, record, rest.hex(), fault=f"UNDECODABLE: {error}", table=number)
        if spec is None or decoder is None:
            return Seen(topic, record, key, fault="UNDECODABLE: a table that this version does not know", table=number)
        return _row(Seen(topic, record, key, table=number, table_name=spec.name), decoder.decode)

    return decode


def _row(row: Seen, read: Callable[[bytes], Any]) -> Seen:
    """Return the row with its value."""
    if row.record.value is None:
        return row
    try:
        value = read(row.record.value)
    except _UNREADABLE as error:
        return msgspec.structs.replace(row, fault=f"UNDECODABLE: no row of this table ({error})")
    return msgspec.structs.replace(row, value=value, plain=named(value))


def _letter_decoder(topic: NamedTopic, schemas: Schemas) -> Decode:
    base = topic.base.removesuffix(DEAD_LETTER_SUFFIX)
    role = TopicRole.INTERNAL_LOG if base in _LOG_RECORDS else TopicRole.INPUT
    origin = decoder_of(NamedTopic(topic.full.removesuffix(DEAD_LETTER_SUFFIX), base, role), schemas)

    def decode(record: Record) -> Seen:
        return msgspec.structs.replace(origin(record), topic=topic, letter=_letter(record))

    return decode


def _letter(record: Record) -> Letter:
    # the last of a name is the newest: a replayed dead letter keeps its older ones
    last = {name: text_of(value) or "" for name, value in record.headers}
    return Letter(
        reason=last.get(REASON_HEADER, ""),
        message=last.get(CONNECT_PREFIX + "exception.message", ""),
        topic=last.get(CONNECT_PREFIX + "topic", ""),
        partition=last.get(CONNECT_PREFIX + "partition", ""),
        offset=last.get(CONNECT_PREFIX + "offset", ""),
        stage=last.get(CONNECT_PREFIX + "stage", ""),
        error_class=last.get(CONNECT_PREFIX + "exception.class.name", ""),
        headers=tuple(
            (name, text_of(value) or "")
            for name, value in record.headers
            if name != REASON_HEADER and not name.startswith(CONNECT_PREFIX)
        ),
    )


# --- plain values


def named(value: Any, name: str = "") -> Any:
    """Return an internal record or row as plain values: structs as objects, times as text, bytes as hexadecimal."""
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        first = {} if tag is None else {"record": tag}
        return first | {field: named(getattr(value, field), field) for field in value.__struct_fields__}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int) and name in _TIMES:
        return time_text(value)
    if isinstance(value, dict):
        return {str(key): named(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [named(item) for item in value]
    return value


def text_of(data: bytes | None) -> str | None:
    """Return bytes as text; those that are no UTF-8 with escapes."""
    return None if data is None else data.decode(errors="backslashreplace")


def payload_of(data: bytes | None) -> Plain:
    """Return bytes under ``text`` where they are text, else under ``base64``."""
    if data is None:
        return {"text": None}
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
    is_text = all(character.isprintable() or character in "\t\r\n" for character in text)
    return {"text": text} if is_text else {"base64": base64.b64encode(data).decode()}


def json_of(seen: Seen) -> Plain:
    """Return one record as an object for JSON: where it is, its key, and what it says."""
    record = seen.record
    plain: Plain = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": time_text(record.timestamp),
    }
    if seen.table is not None:
        plain |= {"table": seen.table, "table_name": seen.table_name}
    plain["key"] = seen.key
    plain["value"] = seen.plain
    if seen.letter is not None:
        letter = seen.letter
        plain |= {
            "reason": letter.reason,
            "message": letter.message,
            "origin": {
                "topic": letter.topic,
                "partition": _number(letter.partition),
                "offset": _number(letter.offset),
                "stage": letter.stage,
            },
            "error_class": letter.error_class,
            "headers": letter.headers,
        }
    if seen.fault:
        plain["undecodable"] = seen.fault
    if seen.fault or seen.letter is not None:
        plain |= payload_of(record.value)
    return plain


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() else None
