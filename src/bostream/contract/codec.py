"""Bytes <-> public records.

What must stay true: whatever the bytes are, reading gives a record that keeps the contract or raises
:class:`bostream.errors.BadRecordError`; only ``resolve_id`` may raise something else (a registry that is away is no
fault of the record). Writer schemas of any version are resolved to the newest one here.
"""

from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from bostream.contract import framing, json_format, limits
from bostream.contract.avro import Read, compile_reader, compile_writer
from bostream.contract.framing import WireFormat
from bostream.contract.reasons import BadRecord
from bostream.contract.records import AllocationPolicy, InputRecord, PublicRecord, record_type
from bostream.contract.schemas import Schema, Schemas
from bostream.contract.validation import to_record
from bostream.errors import BadRecordError

ResolveId = Callable[[int], Schema | None]
"""Gives the schema of a registry id, None when there is none; may raise TransientError when it cannot tell now."""

NULLABLE_TOPIC: Final = "allocation-policies"
"""The one topic where a null value says something."""


class RecordReader:
    """Reads the values of one public topic.

    Args:
        topic: the topic's name without prefix, e.g. ``orders``.
        schemas: all known schemas.
        resolve_id: looks schema ids up; None: no registry, so Confluent framing is not understood.
        value_bytes_max: larger values are bad.
    """

    def __init__(
        self,
        topic: str,
        schemas: Schemas,
        resolve_id: ResolveId | None = None,
        value_bytes_max: int = limits.VALUE_BYTES_MAX,
    ) -> None:
        self.topic = topic
        self._schemas = schemas
        self._resolve_id = resolve_id
        self._value_bytes_max = value_bytes_max
        self._record_type = record_type(topic)
        self._newest = schemas.newest(topic)
        self._fix_times = json_format.compile_times_reader(self._newest.parsed)
        self._compiled: dict[bytes, Read] = {}

    def read(self, value: bytes | None) -> PublicRecord:
        """Return the record of a value.

        Raises:
            BadRecordError: with the reason and a sentence that names the field.
        """
        if value is None:
            raise BadRecordError(BadRecord.NULL_VALUE, "the value is null")
        if len(value) > self._value_bytes_max:
            raise BadRecordError(BadRecord.TOO_LARGE, f"the value has more than {self._value_bytes_max} bytes")
        match framing.detect(value):
            case WireFormat.SINGLE_OBJECT:
                plain = self._read_avro(value, framing.SINGLE_OBJECT_HEADER_BYTES, self._schema_by_fingerprint(value))
            case WireFormat.CONFLUENT:
                plain = self._read_avro(value, framing.CONFLUENT_HEADER_BYTES, self._schema_by_id(value))
            case WireFormat.JSON:
                plain = json_format.read_json(value)
                self._fix_times(plain)
        return to_record(plain, self._record_type)

    def _schema_by_fingerprint(self, value: bytes) -> Schema:
        schema = self._schemas.by_fingerprint.get(framing.fingerprint_of(value))
        if schema is None:
            raise BadRecordError(BadRecord.UNKNOWN_SCHEMA, "no schema has the fingerprint in the header")
        return schema

    def _schema_by_id(self, value: bytes) -> Schema:
        schema_id = framing.schema_id_of(value)
        if self._resolve_id is None:
            raise BadRecordError(BadRecord.UNKNOWN_SCHEMA, "Confluent framing, but no schema registry is configured")
        schema = self._resolve_id(schema_id)
        if schema is None:
            raise BadRecordError(BadRecord.UNKNOWN_SCHEMA, f"the schema registry does not know id {schema_id}")
        return schema

    def _read_avro(self, value: bytes, start: int, writer: Schema) -> Any:
        plain, end = self._compiled_reader(writer)(value, start)
        if end != len(value):
            raise BadRecordError(BadRecord.TRAILING_BYTES, f"{len(value) - end} bytes follow the Avro value")
        return plain

    def _compiled_reader(self, writer: Schema) -> Read:
        # The fingerprint tells apart all that matters of a writer schema: defaults and aliases are the reader's.
        read = self._compiled.get(writer.fingerprint)
        if read is None:
            if len(self._compiled) >= limits.COMPILED_SCHEMAS_MAX:
                self._compiled.clear()
            read = self._compiled[writer.fingerprint] = compile_reader(writer.parsed, self._newest.parsed)
        return read


class InputReader:
    """Reads keys and values of one input topic, as the intake gets them. Arguments as of :class:`RecordReader`."""

    def __init__(
        self,
        topic: str,
        schemas: Schemas,
        resolve_id: ResolveId | None = None,
        value_bytes_max: int = limits.VALUE_BYTES_MAX,
    ) -> None:
        self._values = RecordReader(topic, schemas, resolve_id, value_bytes_max)
        self._is_nullable = topic == NULLABLE_TOPIC

    def read(self, key: bytes | None, value: bytes | None) -> InputRecord | None:
        """Return the record; None for a null value of ``allocation-policies``: back to the default for that key.

        Keys matter for policies only, since that topic is compacted by them; elsewhere they are the producer's affair.

        Raises:
            BadRecordError: with the reason and a sentence that names the field.
        """
        if not self._is_nullable:
            return self._read_value(value)
        sku = policy_key(key)
        if value is None:
            return None
        record = self._read_value(value)
        if isinstance(record, AllocationPolicy) and record.sku != sku:
            raise BadRecordError(BadRecord.KEY_MISMATCH, "the key is not the sku of the policy")
        return record

    def _read_value(self, value: bytes | None) -> InputRecord:
        return cast(InputRecord, self._values.read(value))  # the topic decides the type


def policy_key(key: bytes | None) -> str:
    """Return the SKU (or ``*``) that a record of ``allocation-policies`` is for, by its key."""
    if not key:
        raise BadRecordError(BadRecord.KEY_MISSING, "a policy needs its sku, or *, as the key")
    try:
        text = key.decode()
    except UnicodeDecodeError:
        raise BadRecordError(BadRecord.KEY_UNDECODABLE, "the key is not UTF-8") from None
    if len(text) > limits.ID_CHARACTERS_MAX:
        raise BadRecordError(BadRecord.TOO_LONG, f"the key has more than {limits.ID_CHARACTERS_MAX} characters")
    return text


class RecordWriter(msgspec.Struct, frozen=True):
    """Writes the values of one public topic in its newest schema. Make it with one of the functions below.

    Attributes:
        content_type: for the header of that name.
        write: returns the bytes of a record of the topic's type.
    """

    content_type: str
    write: Callable[[PublicRecord], bytes]


def single_object_writer(topic: str, schemas: Schemas) -> RecordWriter:
    """Return a writer of Avro single-object values."""
    newest = schemas.newest(topic)
    return _avro_writer(newest, framing.single_object_header(newest.fingerprint))


def confluent_writer(topic: str, schemas: Schemas, schema_id: int) -> RecordWriter:
    """Return a writer of Avro values in Confluent framing, under the registry's id of the newest schema."""
    return _avro_writer(schemas.newest(topic), framing.confluent_header(schema_id))


def json_writer(topic: str, schemas: Schemas) -> RecordWriter:
    """Return a writer of JSON values."""
    fix_times = json_format.compile_times_writer(schemas.newest(topic).parsed)

    def write(record: PublicRecord) -> bytes:
        plain = msgspec.to_builtins(record)
        fix_times(plain)
        return msgspec.json.encode(plain)

    return RecordWriter("application/json", write)


def _avro_writer(schema: Schema, header: bytes) -> RecordWriter:
    write_value = compile_writer(schema.parsed)

    def write(record: PublicRecord) -> bytes:
        return write_value(header, msgspec.to_builtins(record))

    return RecordWriter("application/avro", write)
