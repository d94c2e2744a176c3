"""How much of a SKU to keep: the base-stock policy and what its planners know.

What must stay true: no clairvoyance. A forecast may know the mean demand of a SKU (the model) or learn it from the
demand seen so far (the dataset), never the orders to come.

The policy is one-for-one replenishment under periodic review. The base-stock level S of a SKU is such that a unit is
there at once with the wanted probability: P(Poisson(demand over lead time and review) < S); since S is a whole number,
SKUs are rounded up or down by a fixed roll so that the probability is met on average.
"""

import math
import random
from typing import Protocol

from bostream.traffic.stock import Item

HOUR_US = 3_600_000_000

_POISSON_MEAN_MAX = 200.0
"""Above this mean the normal approximation is as good and does not sum hundreds of terms."""


class Forecast(Protocol):
    """Mean demand of a SKU as its planner sees it at this moment."""

    def units_per_second(self, item: Item, now_us: int) -> float:
        """Return units for each second of the model's time."""


class LearnedForecast:
    """Learns from the demand seen, drawn towards a prior while little was seen.

    Args:
        start_us: when watching began.
        prior_units, prior_us: as if this many units had been seen over this time before.
    """

    def __init__(self, start_us: int, *, prior_units: float = 1.0, prior_us: int = 48 * HOUR_US) -> None:
        self._start_us = start_us
        self._prior_units = prior_units
        self._prior_us = prior_us

    def units_per_second(self, item: Item, now_us: int) -> float:
        """Return (units seen + prior) / (time watched + prior)."""
        watched_us = now_us - self._start_us + self._prior_us
        return (item.demanded + self._prior_units) / watched_us * 1e6


def base_stock(mean: float, target: float, roll: float) -> int:
    """Return the base-stock level whose chance to serve a unit at once is ``target``, rounded by ``roll`` in [0, 1).

    Args:
        mean: mean demand over the time to replenish, in units.
        target: wanted P(Poisson(mean) < level), averaged over rolls.
        roll: below the share that is missing at the lower of the two levels around the target: the higher one.
    """
    if mean > _POISSON_MEAN_MAX:
        return max(0, round(mean + _normal_quantile(target) * math.sqrt(mean)))
    level, served, term = 0, 0.0, math.exp(-mean)
    while served + term <= target:
        served += term
        level += 1
        term *= mean / level
    return level + (roll < (target - served) / term)


def poisson(chance: random.Random, mean: float) -> int:
    """Draw a Poisson number; a normal one of the same mean and variance when the mean is large."""
    if mean > _POISSON_MEAN_MAX:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count += 1
        product *= chance.random()
    return count


def _normal_quantile(probability: float) -> float:
    low, high = -8.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle / math.sqrt(2)) < 2 * probability - 1 else (low, middle)
    return low
