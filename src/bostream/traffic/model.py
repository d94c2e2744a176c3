"""The basket model: who orders what, how much, and when; fitted to real baskets (docs/TRAFFIC.md).

What must stay true: an infinite stream of baskets in time order that depends on the settings and the generator's seed
alone, and starts at once: no file is read and no package beyond the standard library is needed.

Arrivals are a Poisson process whose intensity follows the fitted hours and weekdays. A basket draws its size, then its
SKUs by popularity without repeating one, then a quantity for each, independently: the model knows no affinities
between products and no seasons.
"""

import bisect
import random
from collections.abc import Iterator, Sequence

import msgspec

from bostream.traffic import fitted
from bostream.traffic.basket import Basket

MICROSECONDS = 1_000_000
HOUR_US = 3_600 * MICROSECONDS
DAY_US = 24 * HOUR_US

_DAYS_FROM_MONDAY_TO_EPOCH = 3
_DRAWS_PER_SKU_MAX = 50


class Cumulative:
    """A distribution over 1, 2, 3 …, as cumulative shares at some of the values; uniform between two of them.

    Args:
        points: (value, cumulative share), both rising.
        top: cut the distribution off above this value and scale the rest up; None: as it is.
    """

    def __init__(self, points: Sequence[tuple[int, float]], *, top: int | None = None) -> None:
        self._values = [0, *(value for value, _ in points)]
        self._shares = [0.0, *(share for _, share in points)]
        self._ceiling = self._shares[-1] if top is None else self.share_up_to(top)

    def draw(self, chance: random.Random) -> int:
        """Draw one value."""
        share = chance.random() * self._ceiling
        right = bisect.bisect_right(self._shares, share, hi=len(self._shares) - 1)
        low, high = self._values[right - 1], self._values[right]
        if high - low == 1:
            return high
        part = (share - self._shares[right - 1]) / (self._shares[right] - self._shares[right - 1])
        return min(high, low + 1 + int(part * (high - low)))

    def share_up_to(self, value: int) -> float:
        """Return the share of the values up to and including this one, before any cut."""
        right = min(bisect.bisect_left(self._values, value), len(self._values) - 1)
        low, high = self._values[right - 1], self._values[right]
        part = min(1.0, (value - low) / (high - low))
        return self._shares[right - 1] + part * (self._shares[right] - self._shares[right - 1])

    def share_of(self, value: int) -> float:
        """Return the share of one value, after the cut."""
        return (self.share_up_to(value) - (self.share_up_to(value - 1) if value > 1 else 0.0)) / self._ceiling


class BasketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the model is asked for.

    Attributes:
        baskets_per_second: mean over a whole week, in seconds of the model's time.
        skus: size of the assortment: the best-selling ones of the fitted ranks.
        size_max: the largest basket; the fitted distribution is cut off there.
        rhythm: False gives one even intensity instead of hours and weekdays.
        utc_offset_hours: what the shops' clocks are ahead of UTC.
        prefix: put before each basket id.
    """

    baskets_per_second: float = 0.02
    skus: int = 2_000
    size_max: int = 161
    rhythm: bool = True
    utc_offset_hours: int = -5
    prefix: str = ""


class BasketModel:
    """An endless iterator of baskets.

    Args:
        settings: see :class:`BasketSettings`.
        chance: owned by the model from now on.
        start_us: no basket comes before (µs, UTC).
    """

    def __init__(self, settings: BasketSettings, chance: random.Random, start_us: int) -> None:
        self._settings = settings
        self._chance = chance
        self._start_us = start_us
        self._popularity = Cumulative(fitted.SKU_CUMULATIVE, top=min(settings.skus, fitted.SKUS))
        self._size = Cumulative(fitted.BASKET_SIZE_CUMULATIVE, top=settings.size_max)
        self._mean_size = mean(self._size, settings.size_max)
        self._quantity = Cumulative(fitted.LINE_QUANTITY_CUMULATIVE)
        self._customer = Cumulative(fitted.CUSTOMER_CUMULATIVE)
        self._channel = Cumulative(fitted.CHANNEL_CUMULATIVE)

    def __iter__(self) -> Iterator[Basket]:
        """Yield baskets in time order, for ever."""
        at, number = float(self._start_us), 0
        while True:
            at = self._next_arrival(at)
            number += 1
            yield Basket(
                at=int(at),
                basket_id=f"{self._settings.prefix}{number:08d}",
                customer_id=f"household-{self._customer.draw(self._chance):04d}",
                channel=f"store-{self._channel.draw(self._chance):03d}",
                lines=self._lines(),
            )

    def units_per_second(self, sku: str) -> float:
        """Return the mean demand for a SKU that :func:`sku_name` made; 0 for any other."""
        rank = sku_rank(sku)
        if rank is None or rank > self._settings.skus:
            return 0.0
        lines_per_second = self._settings.baskets_per_second * self._mean_size
        return lines_per_second * self._popularity.share_of(rank) * MEAN_LINE_QUANTITY

    def _lines(self) -> tuple[tuple[str, int], ...]:
        wanted = min(self._size.draw(self._chance), self._settings.skus)
        ranks: dict[int, None] = {}
        for _ in range(wanted * _DRAWS_PER_SKU_MAX):
            ranks[self._popularity.draw(self._chance)] = None
            if len(ranks) == wanted:
                break
        return tuple((sku_name(rank), self._quantity.draw(self._chance)) for rank in ranks)

    def _next_arrival(self, at: float) -> float:
        """Spend an exponential amount of work at the intensity of each hour passed."""
        per_microsecond = self._settings.baskets_per_second / MICROSECONDS
        if not self._settings.rhythm:
            return at + self._chance.expovariate(per_microsecond)
        work = self._chance.expovariate(1.0)
        while True:
            hour = int(at) // HOUR_US
            intensity = per_microsecond * self.intensity(hour)
            left = (hour + 1) * HOUR_US - at
            if intensity > 0 and work <= left * intensity:
                return at + work / intensity
            work -= left * intensity
            at = float((hour + 1) * HOUR_US)

    def intensity(self, hour: int) -> float:
        """Return how busy an hour is, counted in hours from the epoch; the mean over a week is 1."""
        local = hour + self._settings.utc_offset_hours
        weekday = (local // 24 + _DAYS_FROM_MONDAY_TO_EPOCH) % 7
        return fitted.HOUR_WEIGHTS[local % 24] * fitted.WEEKDAY_WEIGHTS[weekday]

    @staticmethod
    def busy_intensity() -> float:
        """Return the mean intensity that an order sees: above 1, since most orders come in busy hours."""
        hours, days = fitted.HOUR_WEIGHTS, fitted.WEEKDAY_WEIGHTS
        return sum(hour * hour for hour in hours) / len(hours) * sum(day * day for day in days) / len(days)


def mean(distribution: Cumulative, top: int) -> float:
    """Return the mean of a distribution whose greatest value is ``top``."""
    return sum(value * distribution.share_of(value) for value in range(1, top + 1))


def sku_name(rank: int) -> str:
    """Return the model's name for the SKU of a popularity rank (1 = best-selling)."""
    return f"SKU-{rank:05d}"


def sku_rank(sku: str) -> int | None:
    """Return the rank in a name made by :func:`sku_name`, or None for any other name."""
    digits = sku.removeprefix("SKU-")
    return int(digits) if digits != sku and digits.isdigit() else None


MEAN_LINE_QUANTITY = fitted.UNITS / fitted.LINES
"""Units a line."""
