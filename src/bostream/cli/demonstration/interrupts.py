"""Ctrl-C and SIGTERM during a demonstration.

What must stay true: the first one asks for a clean end, which takes a while; the second one is never ignored.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """Ctrl-C and SIGTERM: the first asks for a clean end, the second ends everything at once."""

    def __init__(self) -> None:
        self.is_stopping = False

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Catch them."""
        kept = {number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_stopping:
            raise KeyboardInterrupt
        self.is_stopping = True
