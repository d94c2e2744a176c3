"""Where a demonstration shows itself: a live table on a terminal, plain lines elsewhere.

What must stay true: what is for machines goes to standard output and nothing else does; phases go to standard error.
"""

import sys
from typing import Final, Protocol

from rich.console import Console
from rich.live import Live

from bostream.adapters.clock import SystemClock
from bostream.cli.demonstration import words
from bostream.cli.demonstration.scene import Scene
from bostream.cli.demonstration.view import LiveTable, plain_line

PLAIN_EVERY_S: Final = 5.0


class Screen(Protocol):
    """Shows phases and scenes."""

    def phase(self, sentence: str) -> None:
        """Say what begins now."""

    def show(self, scene: Scene) -> None:
        """Show this moment."""

    def close(self) -> None:
        """Leave the last scene as it stands; lines may follow."""


class PlainScreen:
    """Lines on standard error: phases, and a scene every few seconds."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._shown_s: float | None = None

    def phase(self, sentence: str) -> None:
        """Print it."""
        say(sentence)

    def show(self, scene: Scene) -> None:
        """Print it now and then."""
        now_s = self._clock.monotonic_s()
        if self._shown_s is None or now_s - self._shown_s >= PLAIN_EVERY_S:
            self._shown_s = now_s
            say(plain_line(scene))

    def close(self) -> None:
        """Nothing is left open."""


class LiveScreen:
    """The live table on standard output, phases before and after it on standard error."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def phase(self, sentence: str) -> None:
        """Print it, above the table while there is one."""
        if self._live is None:
            say(sentence)
        else:
            self._live.console.print(sentence, style="dim", markup=False, highlight=False)

    def show(self, scene: Scene) -> None:
        """Draw it over the last one."""
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()
        self._live.update(LiveTable(scene), refresh=True)

    def close(self) -> None:
        """Stop drawing."""
        if self._live is not None:
            self._live.stop()
            self._live = None


class AuditProgress:
    """Tells on standard error which topic is being compared; on a terminal in one line that is written over."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._is_terminal = sys.stderr.isatty()
        self._told_s = clock.monotonic_s()

    def __call__(self, phase: str, records: int, *, is_done: bool) -> None:
        """Tell it, not too often."""
        now_s = self._clock.monotonic_s()
        if self._is_terminal:
            print(f"\r\x1b[K  {phase}: {words.count(records, 'record')}", end="", file=sys.stderr, flush=True)
        elif is_done and now_s - self._told_s >= PLAIN_EVERY_S:
            self._told_s = now_s
            say(f"  audit: {phase} compared, {words.count(records, 'record')}")

    def close(self) -> None:
        """Remove the line."""
        if self._is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def say(sentence: str) -> None:
    """Print one line on standard error."""
    print(sentence, file=sys.stderr, flush=True)
