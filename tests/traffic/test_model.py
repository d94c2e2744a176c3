"""The basket model and the base-stock policy against what is known of them."""

import itertools
import math
import random
from collections import Counter

import pytest

from bostream.traffic import fitted
from bostream.traffic.model import HOUR_US, BasketModel, BasketSettings, Cumulative, mean, sku_name, sku_rank
from bostream.traffic.replenishment import LearnedForecast, base_stock, poisson
from bostream.traffic.stock import Item, share_of

START_US = 1_760_000_000_000_000


def model(seed: int = 1, **changes: object) -> BasketModel:
    return BasketModel(BasketSettings(**changes), random.Random(seed), START_US)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_baskets() -> None:
    assert list(itertools.islice(model(), 200)) == list(itertools.islice(model(), 200))


def test_baskets_come_in_time_order_without_repeating_a_sku() -> None:
    drawn = list(itertools.islice(model(skus=50), 2_000))
    assert sorted(basket.at for basket in drawn) == [basket.at for basket in drawn]
    assert all(len(dict(basket.lines)) == len(basket.lines) for basket in drawn)
    assert all(quantity >= 1 for basket in drawn for _, quantity in basket.lines)


def test_drawn_baskets_look_like_the_real_ones() -> None:
    drawn = list(itertools.islice(model(skus=fitted.SKUS, baskets_per_second=0.02), 10_000))
    lines = [line for basket in drawn for line in basket.lines]
    assert fitted.LINES / fitted.BASKETS == pytest.approx(len(lines) / len(drawn), rel=0.05)
    assert fitted.UNITS / fitted.LINES == pytest.approx(sum(units for _, units in lines) / len(lines), rel=0.05)
    counts = Counter(sku for sku, _ in lines)
    top = sum(counts[sku_name(rank)] for rank in range(1, 101)) / len(lines)
    assert Cumulative(fitted.SKU_CUMULATIVE).share_up_to(100) == pytest.approx(top, abs=0.015)


def test_arrivals_follow_the_hours_and_the_mean_rate() -> None:
    days = 28
    drawn = itertools.takewhile(
        lambda basket: basket.at < START_US + days * 24 * HOUR_US, model(baskets_per_second=0.02)
    )
    hours = Counter((basket.at // HOUR_US - 5) % 24 for basket in drawn)
    assert 0.02 * days * 86_400 == pytest.approx(hours.total(), rel=0.05)
    assert hours[17] > 10 * hours[3]
    busiest = fitted.HOUR_WEIGHTS[17] / 24
    assert busiest == pytest.approx(hours[17] / hours.total(), rel=0.1)


def test_without_rhythm_every_hour_is_alike() -> None:
    drawn = itertools.islice(model(rhythm=False), 20_000)
    hours = Counter((basket.at // HOUR_US) % 24 for basket in drawn)
    assert max(hours.values()) < 1.3 * min(hours.values())


def test_the_planners_mean_demand_is_what_is_drawn() -> None:
    source = model(skus=100, baskets_per_second=0.05, rhythm=False, size_max=5)
    planned = sum(source.units_per_second(sku_name(rank)) for rank in range(1, 101))
    drawn = list(itertools.islice(source, 5_000))
    seconds = (drawn[-1].at - START_US) / 1e6
    assert planned == pytest.approx(sum(units for basket in drawn for _, units in basket.lines) / seconds, rel=0.1)
    assert 0.0 == source.units_per_second("SKU-00101") == source.units_per_second("something else")


def test_a_cumulative_table_is_uniform_between_its_points() -> None:
    table = Cumulative(((1, 0.5), (11, 1.0)))
    assert [0.5, 0.05, 0.05] == pytest.approx([table.share_of(value) for value in (1, 2, 11)])
    assert 1 * 0.5 + sum(range(2, 12)) * 0.05 == pytest.approx(mean(table, 11))
    chance = random.Random(1)
    drawn = Counter(table.draw(chance) for _ in range(20_000))
    assert set(range(1, 12)) == set(drawn)
    assert 0.05 == pytest.approx(drawn[11] / 20_000, abs=0.01)


def test_a_cut_table_scales_the_rest_up() -> None:
    table = Cumulative(((1, 0.5), (2, 0.75), (3, 1.0)), top=2)
    assert [2 / 3, 1 / 3] == pytest.approx([table.share_of(1), table.share_of(2)])
    chance = random.Random(1)
    assert {1, 2} == {table.draw(chance) for _ in range(1_000)}


def test_fitted_tables_rise_to_one() -> None:
    tables = ("BASKET_SIZE", "LINE_QUANTITY", "SKU", "CUSTOMER", "CHANNEL")
    for table in (getattr(fitted, f"{name}_CUMULATIVE") for name in tables):
        assert all(low[0] < high[0] and low[1] < high[1] for low, high in itertools.pairwise(table))
        assert 1.0 == table[-1][1]


@pytest.mark.parametrize("demand", [0.05, 0.7, 4.0, 60.0, 500.0])
def test_the_base_stock_level_meets_its_target_on_average(demand: float) -> None:
    target, rolls = 0.8, [number / 1_000 for number in range(1_000)]
    levels = [base_stock(demand, target, roll) for roll in rolls]
    chance = random.Random(1)
    draws = [poisson(chance, demand) for _ in range(2_000)]
    at_once = sum(
        draw < level for draw, level in zip(draws * 5, (chance.choice(levels) for _ in range(10_000)), strict=True)
    )
    assert target == pytest.approx(at_once / 10_000, abs=0.03)


@pytest.mark.parametrize("expected", [0.0, 0.3, 12.0, 900.0])
def test_poisson_numbers_have_the_mean_and_variance_asked_for(expected: float) -> None:
    chance = random.Random(2)
    draws = [poisson(chance, expected) for _ in range(5_000)]
    average = sum(draws) / len(draws)
    assert expected == pytest.approx(average, abs=0.05 + 4 * math.sqrt(expected / 5_000))
    assert expected == pytest.approx(sum((draw - average) ** 2 for draw in draws) / len(draws), rel=0.15, abs=0.01)


def test_a_learned_forecast_goes_from_the_prior_to_what_was_seen() -> None:
    forecast = LearnedForecast(0, prior_units=1.0, prior_us=48 * HOUR_US)
    item = Item(sku="1", homes=("W",), supplier="s", roll=0.5)
    assert 1 / (48 * 3_600) == pytest.approx(forecast.units_per_second(item, 0))
    item.demanded = 10_000
    assert 10_001 / (10_048 * 3_600) == pytest.approx(forecast.units_per_second(item, 10_000 * HOUR_US))


def test_fixed_shares_are_spread_evenly_and_never_change() -> None:
    shares = [share_of(str(number), "home") for number in range(4_000)]
    assert all(0.0 <= share < 1.0 for share in shares)
    assert 0.25 == pytest.approx(sum(share < 0.25 for share in shares) / 4_000, abs=0.03)
    assert share_of("SKU-00001", "home") == share_of("SKU-00001", "home") != share_of("SKU-00001", "roll")


def test_sku_names_are_read_back() -> None:
    assert [7, None, None] == [sku_rank(sku_name(7)), sku_rank("SKU-HOT"), sku_rank("00007")]
