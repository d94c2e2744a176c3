"""Lines of a file or a pipe -> records that keep the contract, or what is wrong with them.

What must stay true: nothing here talks to Kafka; each line is judged by itself, so that a bad one costs no other; and a
line is held to the same rules as a record that arrives by Kafka.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any, BinaryIO, Final, NamedTuple, assert_never
from uuid import UUID, uuid5

import msgspec

from bostream.contract import limits
from bostream.contract.json_format import Plain, compile_times_reader, read_json
from bostream.contract.reasons import BadRecord
from bostream.contract.records import (
    INPUT_RECORDS,
    AllocationPolicy,
    AsnEvent,
    InputRecord,
    InventoryScan,
    OrderEvent,
)
from bostream.contract.schemas import Schemas
from bostream.contract.validation import to_record
from bostream.errors import BadRecordError

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LINE_END: Final = 2
_DIGEST_BYTES: Final = 16
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
_PATH: Final = re.compile(r" at `?\$\.(?P<path>[^`]+)`?$")
_NAMED: Final = re.compile(r"required field `(?P<name>[^`]+)`")


class Row(NamedTuple):
    """One line as it stands there: plain fields, or why there are none. ``number`` counts lines from 1."""

    number: int
    content: Plain | BadRecordError


class GoodLine(NamedTuple):
    """A line that keeps the contract."""

    number: int
    record: InputRecord


class BadLine(NamedTuple):
    """A line that does not."""

    number: int
    error: BadRecordError


# --- lines -> rows


def bounded_lines(file: BinaryIO, bytes_max: int = limits.VALUE_BYTES_MAX) -> Iterator[bytes]:
    """Yield the lines of a file; of one that is longer than ``bytes_max`` only so much that its length shows."""
    is_first = True
    while line := file.readline(bytes_max + _LINE_END):
        if not line.endswith(b"\n") and len(line) > bytes_max:
            _skip_line(file, bytes_max)
        yield line.removeprefix(_BYTE_ORDER_MARK) if is_first else line
        is_first = False


def _skip_line(file: BinaryIO, bytes_max: int) -> None:
    while rest := file.readline(bytes_max):
        if rest.endswith(b"\n"):
            return


def json_rows(lines: Iterable[bytes]) -> Iterator[Row]:
    """Read one JSON object from each line (NDJSON); blank lines say nothing."""
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not stripped:
            continue
        if len(stripped) > limits.VALUE_BYTES_MAX:
            detail = f"the line has more than {limits.VALUE_BYTES_MAX} bytes"
            yield Row(number, BadRecordError(BadRecord.TOO_LARGE, detail))
            continue
        try:
            yield Row(number, read_json(stripped))
        except BadRecordError as error:
            yield Row(number, error)


def csv_rows(lines: Iterable[bytes], topic: str) -> Iterator[Row]:
    """Read CSV with a header that names the fields; an empty cell means that the field is absent.

    Args:
        lines: of the file; UTF-8.
        topic: name without prefix; its records must be flat.

    Raises:
        ValueError: records of this topic have lists, or the header names a field that they do not have.
    """
    integers = _integer_fields(topic)
    reader = csv.reader((line.decode(errors="surrogateescape") for line in lines), strict=True)
    header = _csv_header(reader, topic)

    def rows() -> Iterator[Row]:
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(reader.line_num, BadRecordError(BadRecord.UNDECODABLE, f"not CSV: {error}"))
                continue
            if cells:
                yield Row(reader.line_num, _csv_content(header, cells, integers))

    # the header is read at once, so that a wrong one is told before anything begins
    return rows()


def _csv_header(reader: Iterator[list[str]], topic: str) -> list[str]:
    fields = INPUT_RECORDS[topic].__struct_fields__
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise ValueError(f"line 1: not CSV: {error}") from error
    unknown = [name for name in header if name not in fields]
    if unknown or not header:
        named = ", ".join(repr(name) for name in unknown) or "nothing"
        raise ValueError(f"line 1 must name fields of {topic} ({', '.join(fields)}), but it names {named}")
    if len(set(header)) != len(header):
        raise ValueError("line 1 names a field twice")
    return header


def _csv_content(header: list[str], cells: list[str], integers: frozenset[str]) -> Plain | BadRecordError:
    if len(cells) != len(header):
        return BadRecordError(BadRecord.UNDECODABLE, f"{len(cells)} cells under {len(header)} names")
    try:
        for cell in cells:
            cell.encode()
    except UnicodeEncodeError:
        return BadRecordError(BadRecord.UNDECODABLE, "not UTF-8")
    return {
        name: int(cell) if name in integers and _INTEGER.fullmatch(cell) else cell
        for name, cell in zip(header, cells, strict=True)
        if cell
    }


def _integer_fields(topic: str) -> frozenset[str]:
    """Return the fields whose cells are numbers; times are among them, and may be texts too."""
    integers = set()
    for field in _fields(topic):
        kinds = _alternatives(field.type)
        if any(isinstance(kind, msgspec.inspect.VarTupleType) for kind in kinds):
            raise ValueError(f"{topic} cannot be CSV, since {field.name} is a list: write one JSON object per line")
        if any(isinstance(kind, msgspec.inspect.IntType) for kind in kinds):
            integers.add(field.name)
    return frozenset(integers)


# --- rows -> records


class Filler:
    """Fills in what a line leaves out: ``event_id`` and ``occurred_at``, nothing else.

    The id is a UUIDv5 of topic and content, numbered where the same content occurs more than once: sending the same
    file again has no second effect, and two equal scans within one file are two scans.

    Args:
        topic: name without prefix.
        occurred_at: for lines without it (µs, UTC).
    """

    NAMESPACE: Final = UUID("5f0c1c9e-5d3b-5d86-8f0e-0b6f3d1f9a27")

    def __init__(self, topic: str, occurred_at: int) -> None:
        self._topic = topic
        self._occurred_at = occurred_at
        self._seen: dict[bytes, int] = {}

    def fill(self, plain: Plain) -> Plain:
        """Return the fields with those added that are missing or null."""
        filled = dict(plain)
        if plain.get("event_id") is None:
            filled["event_id"] = self._event_id(plain)
        if plain.get("occurred_at") is None:
            filled["occurred_at"] = self._occurred_at
        return filled

    def _event_id(self, plain: Plain) -> str:
        content = json.dumps(plain, sort_keys=True)
        digest = blake2b(content.encode(), digest_size=_DIGEST_BYTES)
        number = self._seen[digest.digest()] = self._seen.get(digest.digest(), 0) + 1
        return str(uuid5(self.NAMESPACE, f"{self._topic}\n{number}\n{digest.hexdigest()}"))


class LineChecker:
    """Makes records of rows.

    Args:
        topic: name without prefix.
        schemas: all known schemas.
        filler: fills in what is missing; None: missing is missing.

    Attributes:
        ignored: fields that the contract does not know, with the number of lines that have them.
    """

    def __init__(self, topic: str, schemas: Schemas, filler: Filler | None = None) -> None:
        self.ignored: dict[str, int] = {}
        self._record_type = INPUT_RECORDS[topic]
        self._fields = frozenset(self._record_type.__struct_fields__)
        self._fix_times: Callable[[Plain], None] = compile_times_reader(schemas.newest(topic).parsed)
        self._filler = filler

    def check(self, row: Row) -> GoodLine | BadLine:
        """Return the record of a row, or what is wrong with it."""
        if isinstance(row.content, BadRecordError):
            return BadLine(row.number, row.content)
        plain = row.content if self._filler is None else self._filler.fill(row.content)
        self._note_ignored(plain)
        try:
            self._fix_times(plain)
            record: InputRecord = to_record(plain, self._record_type)
        except BadRecordError as error:
            return BadLine(row.number, error)
        return GoodLine(row.number, record)

    def _note_ignored(self, plain: Plain) -> None:
        for name in plain.keys() - self._fields:
            if name in self.ignored or len(self.ignored) < limits.NAMES_MAX:
                self.ignored[name] = self.ignored.get(name, 0) + 1


def key_of(record: InputRecord) -> str:
    """Return the key under which the contract wants a record."""
    match record:
        case OrderEvent():
            return record.order_id
        case InventoryScan() | AllocationPolicy():
            return record.sku
        case AsnEvent():
            return record.asn_id
        case _:
            assert_never(record)


# --- what is wrong, for people


def explain_bad_line(bad: BadLine, source: str, topic: str) -> str:
    """Say where a bad line is, which field is bad, why, and what would be right if that is short to say.

    Args:
        bad: the line.
        source: name of the file.
        topic: name without prefix.
    """
    field = field_of(bad.error, topic)
    where = f"{source}:{bad.number}: " + (f"{field}: " if field else "")
    hint = ""
    if bad.error.reason == BadRecord.UNKNOWN_ENUM and field and (symbols := _symbols(topic, field)):
        hint = f" (known: {', '.join(symbols)})"
    elif bad.error.reason == BadRecord.MISSING_FIELD and field in ("event_id", "occurred_at"):
        hint = " (--fill makes one)"
    return f"{where}{bad.error.reason}: {bad.error.detail}{hint}"


def field_of(error: BadRecordError, topic: str) -> str:
    """Return the path of the field that an error is about; empty when it is about no field."""
    path = _PATH.search(error.detail)
    inside = path["path"] if path else ""
    if named := _NAMED.search(error.detail):
        return f"{inside}.{named['name']}" if inside else named["name"]
    if inside:
        return inside
    # our own sentences begin with the field
    first = error.detail.partition(" ")[0]
    return first if first in INPUT_RECORDS[topic].__struct_fields__ or first == "line_id" else ""


def _symbols(topic: str, field: str) -> list[str]:
    for known in _fields(topic):
        if known.name == field:
            return [
                str(symbol.value)
                for kind in _alternatives(known.type)
                if isinstance(kind, msgspec.inspect.EnumType)
                for symbol in kind.cls
            ]
    return []


def _fields(topic: str) -> tuple[Any, ...]:
    info = msgspec.inspect.type_info(INPUT_RECORDS[topic])
    return info.fields if isinstance(info, msgspec.inspect.StructType) else ()


def _alternatives(kind: msgspec.inspect.Type) -> tuple[msgspec.inspect.Type, ...]:
    return kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
