"""One moment of the demonstration, as it is shown, and the rates that need more than one moment.

What must stay true: a scene is plain values, so that what is shown can be tested without a broker or a terminal.
"""

from collections import deque
from typing import Final

import msgspec

from bostream.cli.demonstration.board import Observed
from bostream.cli.demonstration.observing import Lag
from bostream.cli.demonstration.plan import Plan
from bostream.cli.demonstration.processes import WorkerState
from bostream.cli.demonstration.traffic import Progress

RATE_WINDOW_S: Final = 5.0


class Rates(msgspec.Struct, frozen=True):
    """Per second, over the last seconds."""

    records: float = 0.0
    order_lines: float = 0.0
    allocations: float = 0.0
    notices: float = 0.0


class Scene(msgspec.Struct, frozen=True):
    """Everything that the table shows.

    Attributes:
        plan: what was planned.
        kafka: in words, which Kafka this is.
        phase: in words, what is going on.
        elapsed_s: seconds since the traffic began.
        observed, lag, workers, traffic, rates: what is known; ``lag`` None: not yet.
    """

    plan: Plan
    kafka: str
    phase: str
    elapsed_s: float
    observed: Observed
    lag: Lag | None
    workers: tuple[WorkerState, ...]
    traffic: Progress
    rates: Rates


class RateMeter:
    """Differences over the last seconds."""

    def __init__(self) -> None:
        self._moments: deque[tuple[float, tuple[int, int, int, int]]] = deque()

    def rates(self, now_s: float, observed: Observed, traffic: Progress) -> Rates:
        """Take the counts of now; return how fast they grew."""
        counts = (
            sum(observed.inputs.values()),
            traffic.tally.order_lines,
            sum(observed.allocations.values()),
            sum(observed.notices.values()),
        )
        self._moments.append((now_s, counts))
        while len(self._moments) > 2 and now_s - self._moments[1][0] >= RATE_WINDOW_S:  # noqa: PLR2004 - two make a difference
            self._moments.popleft()
        first_s, first = self._moments[0]
        seconds = now_s - first_s
        if seconds <= 0:
            return Rates()
        return Rates(*[(now - before) / seconds for now, before in zip(counts, first, strict=True)])
