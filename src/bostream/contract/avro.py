"""Avro values <-> plain values, compiled once per schema (and per pair of writer and reader schema).

Reading is our own, because general readers are lenient where a money-moving system must not be: they wrap numbers of
more than 64 bits around, take negative enum and union indexes, and read a boolean of 7. What must stay true: a compiled
reader accepts exactly what the Avro specification allows for the writer schema, resolves it to the reader schema, and
raises nothing but :class:`bostream.errors.BadRecordError`; a writer and the reader of one schema are inverse.
Logical types are read and written as the numbers beneath them.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final

from bostream.contract import avro_wire as wire
from bostream.contract.reasons import BadRecord
from bostream.errors import BadRecordError

Schema = Any
"""A parsed Avro schema: a name, a list (union) or a mapping."""

Write = Callable[[bytearray, Any], None]

_PRIMITIVES: Final[dict[str, wire.Read]] = {
    "null": wire.read_null,
    "boolean": wire.read_boolean,
    "int": wire.read_int,
    "long": wire.read_long,
    "float": wire.read_float,
    "double": wire.read_double,
    "bytes": wire.read_bytes,
    "string": wire.read_string,
}

_PROMOTIONS: Final = {
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
}
_COMPLEX: Final = frozenset({"record", "enum", "fixed", "array", "map"})
_NESTING_MAX: Final = 32
_STEPS_MAX: Final = 10_000
"""Types visited while compiling: named types used over and over could make a small schema endless."""


class IncompatibleSchemasError(Exception):
    """What the writer schema allows cannot be read as the reader schema says."""


class UnusableSchemaError(IncompatibleSchemasError):
    """The writer schema itself has no bounds: no part of it may be used."""


def compile_reader(writer: Schema, reader: Schema) -> wire.Read:
    """Compile a reader of values written with ``writer`` that gives them as ``reader`` describes (a dict per record).

    Raises:
        IncompatibleSchemasError: the schemas do not resolve.
        UnusableSchemaError: the writer's is recursive, too large, or has items without bytes.
    """
    return _Resolver(_named_types(writer), _named_types(reader)).resolve(writer, reader, _NESTING_MAX)


class _Resolver:
    """Schema resolution as in the Avro specification, one method per kind of type."""

    def __init__(self, writer_names: Mapping[str, Schema], reader_names: Mapping[str, Schema]) -> None:
        self._writer_names = writer_names
        self._reader_names = reader_names
        self._steps_left = _STEPS_MAX

    def _step(self, depth: int) -> None:
        self._steps_left -= 1
        if depth == 0 or self._steps_left < 0:
            raise UnusableSchemaError("the schema is recursive, nested too deeply or too large")

    def resolve(self, writer: Schema, reader: Schema | None, depth: int) -> wire.Read:
        """Return the reader of one type; ``reader`` None: the value is read and dropped."""
        self._step(depth)
        writer = _plain(writer, self._writer_names)
        reader = None if reader is None else _plain(reader, self._reader_names)
        if isinstance(writer, list):
            return self._union(writer, reader, depth)
        if isinstance(reader, list):
            return self._branch(writer, reader, depth)
        kind = _kind(writer)
        if reader is not None and kind in _COMPLEX:
            self._match(writer, reader)
        if kind == "record":
            return self._record(writer, reader, depth)
        if kind == "enum":
            return _enum(writer["symbols"], reader)
        if kind == "fixed":
            return wire.reader_of_fixed(writer["size"])
        if kind in ("array", "map"):
            return self._collection(kind, writer, reader, depth)
        if kind not in _PRIMITIVES:
            raise IncompatibleSchemasError(f"the type {kind} is not known")
        return _primitive(kind, None if reader is None else _kind(reader))

    def _match(self, writer: Schema, reader: Schema) -> None:
        kind = _kind(writer)
        if kind != _kind(reader):
            raise IncompatibleSchemasError(f"{_kind(reader)} expected, the writer has {kind}")
        if "name" in reader and _short(writer["name"]) != _short(reader["name"]):
            raise IncompatibleSchemasError(f"{_short(reader['name'])} expected, the writer has another {kind}")
        if kind == "fixed" and writer["size"] != reader["size"]:
            raise IncompatibleSchemasError(f"the sizes of {_short(reader['name'])} differ")

    def _branch(self, writer: Schema, reader: list[Schema], depth: int) -> wire.Read:
        """Resolve to the first branch of the same kind, else to the first that takes the writer's type."""
        kinds = [_kind(_plain(branch, self._reader_names)) for branch in reader]
        best_first = sorted(zip(kinds, reader, strict=True), key=lambda pair: pair[0] != _kind(writer))
        for _, branch in best_first:
            try:
                return self.resolve(writer, branch, depth - 1)
            except UnusableSchemaError:
                raise
            except IncompatibleSchemasError:
                continue
        raise IncompatibleSchemasError(f"no branch of the union takes {_kind(writer)}")

    def _union(self, writer: list[Schema], reader: Schema | None, depth: int) -> wire.Read:
        branches: list[wire.Read] = []
        for branch in writer:
            try:
                branches.append(self.resolve(branch, reader, depth - 1))
            except UnusableSchemaError:
                raise
            except IncompatibleSchemasError as error:
                branches.append(refusing_reader(str(error)))
        count = len(branches)

        def read_union(data: bytes, at: int) -> tuple[Any, int]:
            index, at = wire.read_long(data, at)
            if not 0 <= index < count:
                raise BadRecordError(BadRecord.UNDECODABLE, "a union has no branch of this number")
            return branches[index](data, at)

        return read_union

    def _record(self, writer: Schema, reader: Schema | None, depth: int) -> wire.Read:
        wanted = {} if reader is None else {name: field for field in reader["fields"] for name in _names(field)}
        steps: list[tuple[str | None, wire.Read]] = []
        for field in writer["fields"]:
            target = wanted.get(field["name"])
            read = self.resolve(field["type"], None if target is None else target["type"], depth - 1)
            steps.append((None if target is None else target["name"], read))
        given = {name for name, _ in steps}
        absent = [] if reader is None else [field for field in reader["fields"] if field["name"] not in given]
        for field in absent:
            if "default" not in field:
                raise IncompatibleSchemasError(f"the field {field['name']} is missing and has no default")
        defaults = {field["name"]: field["default"] for field in absent}

        return _record_reader(steps, defaults)

    def _collection(self, kind: str, writer: Schema, reader: Schema | None, depth: int) -> wire.Read:
        inner = "items" if kind == "array" else "values"
        read_item = self.resolve(writer[inner], None if reader is None else reader[inner], depth - 1)
        if kind == "array":
            if self._may_be_empty(writer[inner], depth):
                raise UnusableSchemaError("an array has items that take no bytes: nothing bounds their number")
            return wire.reader_of_array(read_item)

        def read_entry(data: bytes, at: int) -> tuple[tuple[str, Any], int]:
            name, at = wire.read_string(data, at)
            value, at = read_item(data, at)
            return (name, value), at

        read_entries = wire.reader_of_array(read_entry)

        def read_map(data: bytes, at: int) -> tuple[dict[str, Any], int]:
            entries, at = read_entries(data, at)
            return dict(entries), at

        return read_map

    def _may_be_empty(self, writer: Schema, depth: int) -> bool:
        """Whether a value of this type may take no bytes at all."""
        self._step(depth)
        writer = _plain(writer, self._writer_names)
        kind = _kind(writer)
        if kind == "record":
            return all(self._may_be_empty(field["type"], depth - 1) for field in writer["fields"])
        return kind == "null" or (kind == "fixed" and writer["size"] == 0)


def _record_reader(steps: list[tuple[str | None, wire.Read]], defaults: dict[str, Any]) -> wire.Read:
    """Make a reader that takes the fields in the writer's order; those without a name are dropped."""
    kept = [(name, read) for name, read in steps if name is not None]
    if len(kept) == len(steps):  # the usual case by far: nothing to drop

        def read_whole_record(data: bytes, at: int) -> tuple[dict[str, Any], int]:
            values = defaults.copy()
            for name, read in kept:
                values[name], at = read(data, at)
            return values, at

        return read_whole_record

    def read_record(data: bytes, at: int) -> tuple[dict[str, Any], int]:
        values = defaults.copy()
        for name, read in steps:
            value, at = read(data, at)
            if name is not None:
                values[name] = value
        return values, at

    return read_record


def _enum(symbols: list[str], reader: Schema | None) -> wire.Read:
    known = set(symbols) if reader is None else set(reader["symbols"])
    fallback = None if reader is None else reader.get("default")
    resolved = [symbol if symbol in known else fallback for symbol in symbols]
    count = len(resolved)
    name = "an enum" if reader is None else _short(reader["name"])

    def read_enum(data: bytes, at: int) -> tuple[str, int]:
        index, at = wire.read_int(data, at)
        symbol = resolved[index] if 0 <= index < count else None
        if symbol is None:
            raise BadRecordError(BadRecord.UNKNOWN_ENUM, f"{name} has a symbol that is not known")
        return symbol, at

    return read_enum


def _primitive(kind: str, wanted: str | None) -> wire.Read:
    read = _PRIMITIVES[kind]
    if wanted is None or kind == wanted or (kind, wanted) == ("int", "long") or (kind, wanted) == ("float", "double"):
        return read
    if (kind, wanted) in _PROMOTIONS:
        return _converting(read, float)
    if (kind, wanted) == ("string", "bytes"):
        return _converting(read, str.encode)
    if (kind, wanted) == ("bytes", "string"):
        return wire.read_string
    raise IncompatibleSchemasError(f"{wanted} expected, the writer has {kind}")


def _converting(read: wire.Read, convert: Callable[[Any], Any]) -> wire.Read:
    def read_converted(data: bytes, at: int) -> tuple[Any, int]:
        value, at = read(data, at)
        return convert(value), at

    return read_converted


def refusing_reader(why: str) -> wire.Read:
    """Make a reader for what cannot be read: every value is a bad record for this reason."""

    def refuse(_data: bytes, _at: int) -> tuple[Any, int]:
        raise BadRecordError(BadRecord.INCOMPATIBLE_SCHEMA, why)

    return refuse


# --- writing


def compile_writer(schema: Schema) -> Write:
    """Compile a writer of structs (or whatever has the record's fields as attributes) in this schema.

    Unions must be of null and one other type, as in all schemas here.
    """
    return _writer(schema, _named_types(schema))


def _writer(schema: Schema, names: Mapping[str, Schema]) -> Write:
    schema = _plain(schema, names)
    if isinstance(schema, list):
        return _nullable_writer(schema, names)
    kind = _kind(schema)
    if kind == "record":
        return _record_writer(schema, names)
    if kind == "enum":
        return _enum_writer(schema["symbols"])
    if kind == "array":
        return _array_writer(_writer(schema["items"], names))
    if kind not in _PRIMITIVE_WRITERS:
        raise IncompatibleSchemasError(f"no writer for the type {kind}")
    return _PRIMITIVE_WRITERS[kind]


def _write_string(out: bytearray, value: str) -> None:
    raw = value.encode()
    out += wire.long_bytes(len(raw))
    out += raw


def _write_long(out: bytearray, value: int) -> None:
    out += wire.long_bytes(value)


def _write_boolean(out: bytearray, value: bool) -> None:
    out.append(value)


_PRIMITIVE_WRITERS: Final[dict[str, Write]] = {
    "string": _write_string,
    "long": _write_long,
    "int": _write_long,
    "boolean": _write_boolean,
}


def _nullable_writer(schema: list[Schema], names: Mapping[str, Schema]) -> Write:
    if len(schema) != 2 or "null" not in schema:  # noqa: PLR2004 - null and the other one
        raise IncompatibleSchemasError("only unions of null and one other type are written")
    null = schema.index("null")
    present = _writer(schema[1 - null], names)
    null_bytes, present_bytes = wire.long_bytes(null), wire.long_bytes(1 - null)

    def write_nullable(out: bytearray, value: Any) -> None:
        if value is None:
            out += null_bytes
        else:
            out += present_bytes
            present(out, value)

    return write_nullable


def _record_writer(schema: Schema, names: Mapping[str, Schema]) -> Write:
    fields = schema["fields"]
    writers = [_writer(field["type"], names) for field in fields]
    if len(fields) < 2:  # noqa: PLR2004 - attrgetter gives a bare value, not a tuple, for a single name
        raise IncompatibleSchemasError("only records of two fields and more are written")
    values_of = attrgetter(*(field["name"] for field in fields))

    def write_record(out: bytearray, value: Any) -> None:
        for write, part in zip(writers, values_of(value), strict=True):
            write(out, part)

    return write_record


def _enum_writer(symbols: list[str]) -> Write:
    encoded = {symbol: wire.long_bytes(index) for index, symbol in enumerate(symbols)}

    def write_enum(out: bytearray, value: str) -> None:
        out += encoded[value]

    return write_enum


def _array_writer(write_item: Write) -> Write:
    def write_array(out: bytearray, value: Any) -> None:
        if value:
            out += wire.long_bytes(len(value))
            for item in value:
                write_item(out, item)
        out.append(0)

    return write_array


# --- schemas


def _plain(schema: Schema, names: Mapping[str, Schema]) -> Schema:
    """Strip names, wrappers and logical types: a primitive's name, a list (union), or a complex type."""
    while isinstance(schema, dict) and schema["type"] not in _COMPLEX:
        schema = schema["type"]
    return names.get(schema, schema) if isinstance(schema, str) else schema


def _kind(schema: Schema) -> str:
    """Return the kind of a plain schema."""
    if isinstance(schema, list):
        return "union"
    return str(schema["type"] if isinstance(schema, dict) else schema)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _names(field: Mapping[str, Any]) -> tuple[str, ...]:
    return (field["name"], *field.get("aliases", ()))


def _named_types(schema: Schema) -> dict[str, Schema]:
    """Return every named type in the (parsed) schema by its full name."""
    found: dict[str, Schema] = {}
    _collect(schema, found)
    return found


def _collect(schema: Schema, found: dict[str, Schema]) -> None:
    if isinstance(schema, list):
        for branch in schema:
            _collect(branch, found)
    elif isinstance(schema, dict):
        if "name" in schema:
            found[schema["name"]] = schema
        for field in schema.get("fields", ()):
            _collect(field["type"], found)
        for inner in ("type", "items", "values"):
            _collect(schema.get(inner), found)
