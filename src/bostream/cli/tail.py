"""``bostream tail``: any topic of ours, decoded, to the terminal or to a pipe.

What must stay true: reading disturbs nobody (no group is joined, nothing is committed); only committed records are
shown; a record that cannot be read is shown as such and ends nothing.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Final

import msgspec
import typer

from bostream.adapters.clock import SystemClock
from bostream.adapters.kafka.reading import TopicReader
from bostream.cli.exits import exit_on_error
from bostream.cli.main import app as cli
from bostream.cli.options import App, Bootstrap, Config, Set, settings_of
from bostream.cli.tailing.decoding import Seen, decoder_of, json_of
from bostream.cli.tailing.matching import speaks_of
from bostream.cli.tailing.readable import UNDECODABLE_WORD, readable
from bostream.cli.tailing.since import BEGINNING, parse_since
from bostream.cli.tailing.topic_names import NamedTopic, named_topic
from bostream.cli.wiring import reader_settings
from bostream.contract.schemas import load_schemas
from bostream.contract.topics import TopicRole
from bostream.settings import Settings

INTERRUPTED: Final = 130
"""Exit code when Ctrl-C ends a reading that would have ended by itself."""

_COLOURS: Final = {
    "ALLOCATED": "green",
    "PARTIALLY_ALLOCATED": "cyan",
    "SHIPPED": "blue",
    "PARTIALLY_SHIPPED": "blue",
    "PICKED": "blue",
    "WAITING": "yellow",
    "BACKORDERED": "yellow",
    "DEALLOCATED": "red",
    "CANCELLED": "red",
    "REJECTED": "red",
    "STOCK_SHORTAGE": "red",
    "DISCREPANCY": "red",
    "RECEIPT_DISCREPANCY": "red",
    UNDECODABLE_WORD: "red",
}


class OutputFormat(StrEnum):
    """How records are printed."""

    JSON = "json"
    NDJSON = "ndjson"
    TEXT = "text"


@cli.command()
def tail(
    topic: Annotated[
        str,
        typer.Argument(
            metavar="TOPIC",
            help="Short or full name: orders, scans, asns, policies, allocations, notifications, backorder-lines, "
            "stock-positions, documents, skus, orders.dlq, skus.dlq, skus-changelog …",
        ),
    ],
    *,
    config: Config = None,
    sets: Set = None,
    app: App = None,
    bootstrap: Bootstrap = None,
    sku: Annotated[str | None, typer.Option("--sku", help="Only records that speak of this SKU.")] = None,
    order: Annotated[str | None, typer.Option("--order", help="Only records that speak of this order.")] = None,
    since: Annotated[
        str, typer.Option("--since", help="90s, 10m, 2h, 3d (ago), RFC 3339 with a zone, beginning, or now.")
    ] = BEGINNING,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what arrives.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="End after so many records.")] = None,
    output: Annotated[
        OutputFormat | None,
        typer.Option("-o", "--output", help="json (one object per line) or text; default: text on a terminal."),
    ] = None,
) -> None:
    """Show the records of a topic, decoded; of allocations each says why units moved. Times are UTC.

    Within a partition records come in order; partitions are read side by side.
    """
    with exit_on_error():
        settings = settings_of(config, sets, app, bootstrap)
        try:
            named = named_topic(topic, settings.app, settings.topics.prefix)
            start = parse_since(since, SystemClock().now())
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        is_text = output is OutputFormat.TEXT or (output is None and sys.stdout.isatty())
        printer = TextPrinter() if is_text else JsonPrinter()
        with _quiet_ends(is_endless=follow):
            matching = _matching(settings, named, sku=sku, order=order, since=start, follow=follow)
            _print_all(matching, printer, limit)


def _matching(
    settings: Settings, topic: NamedTopic, *, sku: str | None, order: str | None, since: int | None, follow: bool
) -> Iterator[Seen | None]:
    """Yield the records asked for; None now and then while there is nothing."""
    decode = decoder_of(topic, load_schemas())
    # the client would write a line for each attempt to connect; what matters comes as an error
    reader = TopicReader({"log_level": 0, **reader_settings(settings)})
    for record in reader.read([topic.full], since=since, follow=follow):
        if record is None:
            yield None
        # records are in the order of their offsets, which need not be that of their times
        elif since is None or record.timestamp >= since:
            seen = decode(record)
            if speaks_of(seen, sku=sku, order=order):
                yield seen


def _print_all(matching: Iterable[Seen | None], printer: "JsonPrinter | TextPrinter", limit: int | None) -> None:
    left = limit
    for seen in matching:
        if seen is None:
            sys.stdout.flush()
            continue
        printer.show(seen)
        if left is not None:
            left -= 1
            if left == 0:
                break
    sys.stdout.flush()


class JsonPrinter:
    """Prints one JSON object per line."""

    def show(self, seen: Seen) -> None:
        """Print a record."""
        sys.stdout.buffer.write(msgspec.json.encode(json_of(seen)) + b"\n")


class TextPrinter:
    """Prints one readable line per record; in colours on a terminal, unless ``NO_COLOR`` is set."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def show(self, seen: Seen) -> None:
        """Print a record."""
        line = readable(seen, self._clock.now())
        if self._is_coloured:
            colour = "red" if seen.topic.role is TopicRole.DEAD_LETTERS else _COLOURS.get(line.word, "bright_black")
            line = line._replace(word=typer.style(line.word, fg=colour))
        sys.stdout.buffer.write(f"{line}\n".encode())
        if self._is_coloured:
            sys.stdout.flush()


@contextlib.contextmanager
def _quiet_ends(*, is_endless: bool) -> Iterator[None]:
    """Let a closed pipe and Ctrl-C end the command without a word; both are how people end it."""
    try:
        yield
    except BrokenPipeError:
        # what is still buffered must not fail once more when Python closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        if not is_endless:
            raise SystemExit(INTERRUPTED) from None
