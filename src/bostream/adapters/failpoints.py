"""Failpoints for tests: end or freeze this process at an exact step of the transaction loop."""

import os
import signal
from collections.abc import Callable

from bostream.errors import ConfigurationError

_ACTIONS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
POINTS = ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7")


def parse_failpoint(text: str) -> Callable[[str], None]:
    """Return the failpoint that a setting like ``C3:5`` or ``C6:1:stop`` describes; empty text: one that does nothing.

    Args:
        text: ``POINT:PASS[:ACTION]``: at the PASS-th time (from 1) that the loop passes POINT, the process kills
            (``kill``, the default) or stops (``stop``) itself.

    Raises:
        ConfigurationError: other text.
    """
    if not text:
        return _nothing
    point, _, rest = text.partition(":")
    count, _, action = rest.partition(":")
    if point not in POINTS or not count.isdigit() or int(count) < 1 or (action or "kill") not in _ACTIONS:
        raise ConfigurationError(
            f"engine.failpoint is {text!r}; it must read POINT:PASS[:kill|stop] with a point from C0 to C7, e.g. C3:5"
        )
    number = _ACTIONS[action or "kill"]
    left = int(count)

    def strike(passed: str) -> None:
        nonlocal left
        if passed != point:
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), number)

    return strike


def _nothing(_point: str) -> None:
    return
