"""Avro values <-> plain values, by fastavro, with everything that it needs prepared once per schema.

What must stay true: whatever the bytes are, a reader raises nothing but :class:`bostream.errors.BadRecordError`.
Logical types are left aside: times are read and written as the numbers beneath them.
"""

from collections.abc import Callable
from io import BytesIO
from typing import Any, Final

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import SchemaParseException
from fastavro.types import Schema as AvroSchema

from bostream.contract.reasons import BadRecord
from bostream.errors import BadRecordError

Schema = Any
"""A parsed Avro schema: a name, a list (union) or a mapping."""

Read = Callable[[bytes, int], tuple[Any, int]]
"""(bytes, where the value begins) -> (value, where it ends)."""

Write = Callable[[bytes, Any], bytes]
"""(header, value) -> header and encoded value."""

_NOT_DECODED: Final = "the value is no Avro of its schema"


def compile_reader(writer: Schema, reader: Schema) -> Read:
    """Return what reads values of the writer schema and resolves them to the reader schema."""
    if _name(writer) != _name(reader):
        return _refuse("the value is a record of another type")  # fastavro would read on to the first misfit
    if not _is_bounded(writer, {}):
        return _refuse("the writer's schema is recursive, or has items without bytes: nothing bounds their number")
    writer_schema = _plain(writer)
    # fastavro resolves field by field when it is given two schemas, which an equal one does not need
    reader_schema = None if writer == reader else _plain(reader)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        stream = BytesIO(data)
        stream.seek(at)
        try:
            return schemaless_reader(stream, writer_schema, reader_schema), stream.tell()
        except UnicodeDecodeError:
            raise BadRecordError(BadRecord.UNDECODABLE, f"{_NOT_DECODED}: a string is not UTF-8") from None
        except (EOFError, IndexError):
            if stream.tell() >= len(data):
                raise BadRecordError(BadRecord.UNDECODABLE, f"{_NOT_DECODED}: it is cut short") from None
            message = f"{_NOT_DECODED}: the index of an enum symbol or of a union's branch does not exist"
            raise BadRecordError(BadRecord.UNKNOWN_ENUM, message) from None
        except RecursionError:
            raise BadRecordError(BadRecord.TOO_DEEP, f"{_NOT_DECODED}: it is nested too deeply") from None
        except Exception as error:  # noqa: BLE001 - whatever else a library says of bad bytes
            raise _unreadable(error) from None

    return read


def _refuse(why: str) -> Read:
    def refuse(_data: bytes, _at: int) -> tuple[Any, int]:
        raise BadRecordError(BadRecord.INCOMPATIBLE_SCHEMA, why)

    return refuse


def _name(schema: Schema) -> object:
    return schema.get("name") if isinstance(schema, dict) else schema


def _is_bounded(schema: Schema, named: dict[str, Schema]) -> bool:
    """Tell whether a value of n bytes has at most n parts, so that a few bytes cannot fill the memory."""
    match schema:
        case list():
            return all(_is_bounded(branch, named) for branch in schema)
        case {"type": "record", "name": name, "fields": fields}:
            if name in named:
                return False
            named[name] = schema
            return all(_is_bounded(field["type"], named) for field in fields)
        case {"type": "array", "items": item} | {"type": "map", "values": item}:
            return _is_bounded(item, named) and not _may_be_empty(item, named)
        case {"type": kind, "name": name}:
            named[name] = kind
            return True
        case {"type": kind}:
            return _is_bounded(kind, named)
        case str():
            return not isinstance(named.get(schema), dict)  # a record again: refused, since it may be itself
        case _:
            return False


def _may_be_empty(schema: Schema, named: dict[str, Schema]) -> bool:
    match schema:
        case "null" | {"type": "null"} | {"type": "fixed"}:
            return True
        case {"type": "record", "fields": fields}:
            return all(_may_be_empty(field["type"], named) for field in fields)
        case str():
            return named.get(schema) == "fixed"
        case _:
            return False


def _unreadable(error: Exception) -> BadRecordError:
    """Tell schemas that do not fit from bytes that are broken; never quotes the library, which quotes the payload."""
    kind = type(error).__name__
    if kind != "SchemaResolutionError":
        return BadRecordError(BadRecord.UNDECODABLE, f"{_NOT_DECODED} ({kind})")
    if "symbol" in str(error):
        return BadRecordError(BadRecord.UNKNOWN_ENUM, "an enum has a symbol that this version does not know")
    return BadRecordError(BadRecord.INCOMPATIBLE_SCHEMA, "the writer's schema cannot be read as the newest one here")


def compile_writer(schema: Schema) -> Write:
    """Return what writes values of this schema; raises ValueError, TypeError or KeyError on others."""
    plain = _plain(schema)

    def write(header: bytes, value: Any) -> bytes:
        stream = BytesIO()
        stream.write(header)
        schemaless_writer(stream, plain, value)
        return stream.getvalue()

    return write


def _plain(schema: Schema) -> AvroSchema:
    try:
        return parse_schema(_without_logical_types(schema))
    except SchemaParseException:  # it was parsed before; only a broken registry answer gets here
        raise BadRecordError(BadRecord.INCOMPATIBLE_SCHEMA, "the writer's schema is not valid") from None


def _without_logical_types(schema: Schema) -> Schema:
    if isinstance(schema, list):
        return [_without_logical_types(branch) for branch in schema]
    if isinstance(schema, dict):
        kept = {name: part for name, part in schema.items() if name != "logicalType" and not name.startswith("__")}
        return {name: part if name == "default" else _without_logical_types(part) for name, part in kept.items()}
    return schema
