"""``bostream produce``: records from a file or a pipe into an input topic.

What must stay true: a record is checked whole before anything of it is sent; whatever ends the command, it says how
many records the brokers have acknowledged.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from bostream.adapters.clock import SystemClock
from bostream.adapters.kafka.producing import RecordSender
from bostream.cli.exits import Exit, exit_on_error
from bostream.cli.input_lines import (
    BadLine,
    Filler,
    GoodLine,
    LineChecker,
    Row,
    bounded_lines,
    csv_rows,
    explain_bad_line,
    json_rows,
    key_of,
)
from bostream.cli.main import app as cli
from bostream.cli.options import App, Bootstrap, Config, Set, settings_of
from bostream.cli.tailing.readable import escaped
from bostream.cli.tailing.topic_names import ALIASES
from bostream.cli.wiring import connection
from bostream.contract import limits
from bostream.contract.codec import RecordWriter, json_writer, single_object_writer
from bostream.contract.reasons import BadRecord
from bostream.contract.schemas import load_schemas
from bostream.contract.topics import INPUT_BYTES_MAX, public_topic
from bostream.engine.ports import Output
from bostream.errors import BadRecordError
from bostream.settings import Settings

BAD_LINES_SHOWN_MAX: Final = 100
"""How many bad lines ``--keep-going`` shows one by one; all are counted."""

_BAR_STEP_RECORDS: Final = 100


class InputName(StrEnum):
    """What can be produced."""

    ORDERS = "orders"
    INVENTORY_SCANS = "inventory-scans"
    SCANS = "scans"
    ASNS = "asns"
    ALLOCATION_POLICIES = "allocation-policies"
    POLICIES = "policies"


class Wire(StrEnum):
    """How values are written."""

    AVRO = "avro"
    JSON = "json"


class FileFormat(StrEnum):
    """How the file is written."""

    NDJSON = "ndjson"
    CSV = "csv"


class BadLines:
    """The bad lines so far: all counted, the first ones kept as sentences, which are printed at the end.

    Args:
        source: name of the file.
        topic: name without prefix.
    """

    def __init__(self, source: str, topic: str) -> None:
        self.count = 0
        self.shown: list[str] = []
        self._source = source
        self._topic = topic

    def add(self, bad: BadLine) -> None:
        """Take note of one."""
        self.count += 1
        if len(self.shown) < BAD_LINES_SHOWN_MAX:
            self.shown.append(explain_bad_line(bad, self._source, self._topic))

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Print them on stderr, however it ends."""
        for sentence in self.shown:
            print(sentence, file=sys.stderr)
        if self.count > len(self.shown):
            print(f"… and {self.count - len(self.shown):,} more bad lines", file=sys.stderr)


class Encoder:
    """Good lines -> what is sent.

    Args:
        topic: name without prefix.
        prefix: what every topic's name begins with.
        writer: of the topic's values.

    Attributes:
        topic: full name.
    """

    def __init__(self, topic: str, prefix: str, writer: RecordWriter) -> None:
        self.topic = public_topic(topic, prefix)
        self._write = writer.write
        self._headers = (("content-type", writer.content_type.encode()),)

    def encode(self, line: GoodLine) -> Output | BadLine:
        """Return the record; a bad line when its value becomes too large with all defaults written out."""
        value = self._write(line.record)
        if len(value) > limits.VALUE_BYTES_MAX:
            detail = f"the value has more than {limits.VALUE_BYTES_MAX} bytes"
            return BadLine(line.number, BadRecordError(BadRecord.TOO_LARGE, detail))
        return Output(self.topic, key_of(line.record).encode(), value, headers=self._headers)


@cli.command()
def produce(
    topic: Annotated[
        InputName,
        typer.Argument(metavar="KIND", help="orders, inventory-scans (scans), asns, allocation-policies (policies)."),
    ],
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="NDJSON or CSV; - is standard input.")] = "-",
    *,
    config: Config = None,
    sets: Set = None,
    app: App = None,
    bootstrap: Bootstrap = None,
    wire: Annotated[Wire, typer.Option("--format", help="How the values are written to Kafka.")] = Wire.AVRO,
    source_format: Annotated[
        FileFormat | None,
        typer.Option("--from", help="How FILE is written; default: by its name. CSV is for inventory-scans only."),
    ] = None,
    fill: Annotated[
        bool,
        typer.Option(
            "--fill",
            help="Fill in a missing event_id (UUIDv5 of the record's content: the same file again has no second "
            "effect, equal lines within it count each) and a missing occurred_at (now).",
        ),
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Skip bad lines and report them at the end.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Check every line; send nothing.")] = False,
) -> None:
    """Send orders, scans, ASNs or policies, one JSON object per line; each is checked against the contract first.

    Stops at the first bad line unless told to keep going. Exit code 5 when a line was bad.
    """
    name = ALIASES.get(topic, topic)
    with exit_on_error():
        settings = settings_of(config, sets, app, bootstrap)
        schemas = load_schemas()
        make_writer = json_writer if wire is Wire.JSON else single_object_writer
        encoder = Encoder(name, settings.topics.prefix, make_writer(name, schemas))
        checker = LineChecker(name, schemas, Filler(name, SystemClock().now()) if fill else None)
        bad = BadLines("stdin" if file == "-" else file, name)
        with _open(file) as (stream, size), Meter(name, size) as meter, bad:
            rows = _rows(meter.counted(bounded_lines(stream)), name, source_format or _format_of(file))
            outputs = _outputs(rows, checker, encoder, bad, keep_going=keep_going or check)
            count = sum(1 for _ in outputs) if check else _send_all(outputs, encoder.topic, settings, meter)
    _tell_ignored(checker.ignored)
    print(f"{count:,} {'record is' if count == 1 else 'records are'} good" if check else _sent(count, encoder.topic))
    if bad.count:
        done = "sent nothing" if check else "skipped" if keep_going else "stopped there"
        print(f"{bad.count:,} bad {'line' if bad.count == 1 else 'lines'}: {done}", file=sys.stderr)
        raise SystemExit(int(Exit.SCHEMA))


def sending_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings of a producer without transactions."""
    return {"message.max.bytes": INPUT_BYTES_MAX, **connection(settings), **settings.kafka.producer}


# --- the file


@contextlib.contextmanager
def _open(file: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """Yield the file and its size in bytes; None where nobody knows."""
    if file == "-":
        if sys.stdin.isatty():
            print("reading standard input; end it with Ctrl-D", file=sys.stderr)
        yield sys.stdin.buffer, None
        return
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(file).open("rb"))
        except OSError as error:
            raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from error
        yield stream, Path(file).stat().st_size or None


def _format_of(file: str) -> FileFormat:
    return FileFormat.CSV if Path(file).suffix.lower() == ".csv" else FileFormat.NDJSON


def _rows(lines: Iterable[bytes], topic: str, source_format: FileFormat) -> Iterator[Row]:
    if source_format is FileFormat.NDJSON:
        return json_rows(lines)
    try:
        return csv_rows(lines, topic)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


class Meter:
    """A progress bar on stderr; nothing at all where that is no terminal.

    Args:
        topic: what is being sent.
        size: bytes to read; None where nobody knows.
    """

    def __init__(self, topic: str, size: int | None) -> None:
        console = Console(stderr=True)
        columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn()]
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._topic = topic
        self._task = self._bar.add_task(topic, total=size)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self._bar.stop()

    def counted(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Pass lines on and count their bytes."""
        size = 0
        for number, line in enumerate(lines):
            size += len(line)
            if number % _BAR_STEP_RECORDS == 0:
                self._bar.update(self._task, completed=size)
            yield line
        self._bar.update(self._task, completed=size)

    def on_progress(self, acknowledged: int) -> None:
        """Show how many records are acknowledged."""
        if acknowledged % _BAR_STEP_RECORDS == 0:
            self._bar.update(self._task, description=f"{self._topic}: {acknowledged:,} sent")


# --- checking and sending


def _outputs(
    rows: Iterable[Row], checker: LineChecker, encoder: Encoder, bad: BadLines, *, keep_going: bool
) -> Iterator[Output]:
    """Yield what is to be sent, and note bad lines; end at the first one unless told to keep going."""
    for row in rows:
        line = checker.check(row)
        output = line if isinstance(line, BadLine) else encoder.encode(line)
        if not isinstance(output, BadLine):
            yield output
            continue
        bad.add(output)
        if not keep_going:
            return


def _send_all(outputs: Iterable[Output], topic: str, settings: Settings, meter: Meter) -> int:
    """Return how many records were sent; every one of them is acknowledged."""
    sender = RecordSender(sending_settings(settings), meter.on_progress)
    handed_over = 0
    try:
        sender.check(topic)
        for output in outputs:
            sender.send(output)
            handed_over += 1
        sender.flush()
    except BaseException:
        if handed_over:
            unknown = handed_over - sender.acknowledged
            print(f"{_sent(sender.acknowledged, topic)}; {unknown:,} more may have arrived or not", file=sys.stderr)
        raise
    finally:
        sender.close()
    return sender.acknowledged


def _sent(count: int, topic: str) -> str:
    return f"{count:,} {'record' if count == 1 else 'records'} sent to {topic}"


def _tell_ignored(ignored: Mapping[str, int]) -> None:
    for name, lines in sorted(ignored.items()):
        in_lines = "1 line" if lines == 1 else f"{lines:,} lines"
        print(f"note: the contract has no field {escaped(name)}; it was left out ({in_lines})", file=sys.stderr)
