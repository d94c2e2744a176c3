"""Tells a person that waits what is being fetched: a bar on a terminal, plain lines elsewhere, always on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

Advance = Callable[[int], None]
"""Called with the number of bytes that arrived since the last call."""

_PLAIN_STEPS = 4


def say(message: str) -> None:
    """Print one line on stderr."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


@contextmanager
def fetching(what: str, bytes_total: int) -> Iterator[Advance]:
    """Show how the fetching of ``what`` goes; yields the function that takes the bytes which arrived."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=console, transient=True) as bars:
            task = bars.add_task(f"{what} …", total=bytes_total)
            yield lambda count: bars.advance(task, count)
    else:
        lines = _PlainLines(what, bytes_total)
        yield lines.advance
    say(f"{what}: done, {_megabytes(bytes_total)}")


class _PlainLines:
    """A line at the start and one for each quarter: readable in the log of a build."""

    def __init__(self, what: str, bytes_total: int) -> None:
        self._what = what
        self._bytes_total = bytes_total
        self._bytes_done = 0
        self._steps_told = 0
        say(f"{what} … ({_megabytes(bytes_total)})")

    def advance(self, count: int) -> None:
        self._bytes_done += count
        step = min(self._bytes_done * _PLAIN_STEPS // self._bytes_total, _PLAIN_STEPS - 1)
        if step > self._steps_told:
            self._steps_told = step
            say(f"{self._what} … {100 * step // _PLAIN_STEPS} %")


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:.0f} MB"
