"""The traffic of a demo, a test or a benchmark: everything wired together.

What must stay true: iterating yields records in the order of their time; with the same settings and the same feedback
it yields the same records. Nothing waits here: whoever iterates paces by :meth:`Traffic.seconds_from_start`.

    traffic = Traffic(TrafficSettings(start_us=…, rate=200.0, duration_s=60.0))
    for at_us, topic, key, record in traffic:
        sleep until start + traffic.seconds_from_start(at_us); produce(topic, key, record)
    # and beside it, for each record read from the topic of allocations:
    traffic.fulfilment.on_allocation(event)
"""

import itertools
import math
import random
from collections.abc import Iterable, Iterator

import msgspec

from bostream.traffic import dataset, fitted, scenarios
from bostream.traffic.agenda import Agenda, Emission, Tally, Wire, WireSettings
from bostream.traffic.basket import Basket
from bostream.traffic.floor import Floor, FloorSettings
from bostream.traffic.fulfilment import Fulfilment, FulfilmentSettings
from bostream.traffic.model import BasketModel, BasketSettings
from bostream.traffic.orders import UNCHANGED, LifeSettings, Orders
from bostream.traffic.replenishment import Forecast, LearnedForecast
from bostream.traffic.scenarios import STORIES, Scenario, StorySettings, World
from bostream.traffic.stock import Item, StockLedger
from bostream.traffic.supply import Supply, SupplySettings

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

RECORDS_PER_BASKET = ((0.0195, 67.6), (0.0459, 55.5), (0.144, 43.5), (0.573, 34.7), (2.32, 28.0))
"""(records a second of the model's time, input records that follow from one basket, picks and ships included).

Measured with the default assortment (docs/TRAFFIC.md): the busier it is, the more units share one receipt.
"""

RECORDS_PER_DATASET_LINE = 3.5
"""Input records that follow from one line of the dataset, picks and ships included (measured, docs/TRAFFIC.md)."""

DATASET_LINES_PER_SECOND = fitted.LINES / (365 * 86_400)
"""Mean over the dataset's year."""

_STORY_SECONDS_WITHOUT_END = 60.0


class TrafficSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What traffic is wanted.

    Attributes:
        start_us: the model's time of the first record (µs, UTC).
        seed: another seed, another stream.
        rate: input records for each second of the reader's clock, mean over a week; feedback included.
        speed_up: seconds of the model's time for each second of the reader's clock; 1440 = a day a minute.
        duration_s: length of the run on the reader's clock; None: no end.
        scenario: which story.
        run_id: begins every id; choose another one for a second run on the same cluster. Empty: from the seed.
        skus: size of the model's assortment.
        rhythm: hours and weekdays, or one even intensity.
        warehouses: ids.
        second_home_share: share of SKUs that are stocked in two warehouses.
        supply, life, fulfilment, floor, wire, story: see there.
    """

    start_us: int
    seed: int = 1
    rate: float = 200.0
    speed_up: float = 1_440.0
    duration_s: float | None = 60.0
    scenario: Scenario = Scenario.STEADY
    run_id: str = ""
    skus: int = 2_000
    rhythm: bool = True
    warehouses: tuple[str, ...] = ("WH-EAST", "WH-NORTH", "WH-SOUTH", "WH-WEST")
    second_home_share: float = 0.25
    supply: SupplySettings = SupplySettings()
    life: LifeSettings = LifeSettings()
    fulfilment: FulfilmentSettings = FulfilmentSettings()
    floor: FloorSettings = FloorSettings()
    wire: WireSettings = WireSettings()
    story: StorySettings = StorySettings()


class ModelForecast:
    """Planners who know the mean demand of each SKU of the model, and nothing of the orders to come.

    They plan for the busy hours: the mean is weighted by how many orders see it.
    """

    def __init__(self, model: BasketModel, *, rhythm: bool) -> None:
        self._model = model
        self._busy = model.busy_intensity() if rhythm else 1.0
        self._known: dict[str, float] = {}

    def units_per_second(self, item: Item, now_us: int) -> float:
        """Return the model's own mean in busy hours."""
        rate = self._known.get(item.sku)
        if rate is None:
            rate = self._known[item.sku] = self._busy * self._model.units_per_second(item.sku)
        return rate


class Traffic:
    """One run. Iterate it once.

    Args:
        settings: what is wanted.
        baskets: real baskets in time order instead of the model's; planners then learn from the demand seen.

    Attributes:
        fulfilment: give it the allocations, so that they are picked and shipped.
        world: the parts, for tests and measurements.
    """

    def __init__(self, settings: TrafficSettings, baskets: Iterable[Basket] | None = None) -> None:
        self.settings = settings
        run_id = settings.run_id or f"s{settings.seed}"
        agenda = Agenda(settings.start_us)
        wire = Wire(agenda, settings.wire, self._chance("wire"), run_id)
        ledger = StockLedger(
            agenda,
            wire,
            warehouses=settings.warehouses,
            suppliers=settings.supply.suppliers,
            second_home_share=settings.second_home_share,
        )
        forecast: Forecast
        if baskets is None:
            model = BasketModel(self._basket_settings(), self._chance("baskets"), settings.start_us)
            baskets, forecast = model, ModelForecast(model, rhythm=settings.rhythm)
        else:
            forecast = LearnedForecast(settings.start_us)
        behaviour = scenarios.supply_of(settings.scenario, settings.supply)
        supply = Supply(
            agenda=agenda,
            wire=wire,
            ledger=ledger,
            settings=behaviour,
            forecast=forecast,
            chance=self._chance("supply"),
            run_id=run_id,
        )
        orders = Orders(
            agenda=agenda,
            wire=wire,
            ledger=ledger,
            supply=supply,
            settings=settings.life,
            chance=self._chance("orders"),
            run_id=run_id,
        )
        floor = Floor(agenda, ledger, supply, settings.floor, self._chance("floor"))
        self.fulfilment = Fulfilment(
            agenda=agenda,
            ledger=ledger,
            supply=supply,
            orders=orders,
            settings=settings.fulfilment,
            seed=settings.seed,
        )
        self.world = World(agenda, wire, ledger, supply, orders, floor, self.fulfilment)
        self._baskets = iter(baskets)

    @property
    def tally(self) -> Tally:
        """What was made so far."""
        return self.world.wire.tally

    def seconds_from_start(self, at_us: int) -> float:
        """Return when a record is due on the reader's clock, in seconds from the start of the run."""
        return (at_us - self.settings.start_us) / 1e6 / self.settings.speed_up

    def __iter__(self) -> Iterator[Emission]:
        """Yield the records of the whole run as (µs, topic, key, record)."""
        settings, agenda = self.settings, self.world.agenda
        length_s = _STORY_SECONDS_WITHOUT_END if settings.duration_s is None else settings.duration_s
        length_us = int(length_s * settings.speed_up * 1e6)
        agenda.ends_us = None if settings.duration_s is None else settings.start_us + length_us
        scenarios.enter(
            self.world,
            settings.scenario,
            settings.story,
            start_us=settings.start_us,
            length_us=length_us,
            chance=self._chance("scenario"),
        )
        self.world.supply.start()
        self._enter_next_basket()
        return agenda.run(self.fulfilment.take_heard)

    def _enter_next_basket(self) -> None:
        basket = next(self._baskets, None)
        agenda = self.world.agenda
        if basket is not None:
            agenda.at(basket.at, lambda: self._place(basket))
        elif agenda.ends_us is None:
            # The last order was placed: let its supply come, then end.
            agenda.ends_us = agenda.now + _SETTLING_LEAD_TIMES * self.settings.supply.lead_time_us

    def _place(self, basket: Basket) -> None:
        self.world.orders.place(basket)
        self.world.floor.after_lines(len(basket.lines))
        self._enter_next_basket()

    def _basket_settings(self) -> BasketSettings:
        settings = self.settings
        return BasketSettings(
            baskets_per_second=baskets_per_second(settings.rate / settings.speed_up),
            skus=settings.skus,
            rhythm=settings.rhythm,
        )

    def _chance(self, purpose: str) -> random.Random:
        """One generator for each part, so that one part's draws do not shift another's."""
        return random.Random(f"{self.settings.seed}/{purpose}")


_SETTLING_LEAD_TIMES = 4


def baskets_per_second(records_per_second: float) -> float:
    """Return how many baskets give so many input records, both for each second of the model's time.

    Interpolates what was measured on a log scale; beyond it the nearest measurement holds.
    """
    points = [(math.log(rate), each) for rate, each in RECORDS_PER_BASKET]
    wanted = math.log(records_per_second)
    if wanted <= points[0][0]:
        return records_per_second / points[0][1]
    for (low, at_low), (high, at_high) in itertools.pairwise(points):
        if wanted <= high:
            return records_per_second / (at_low + (wanted - low) / (high - low) * (at_high - at_low))
    return records_per_second / points[-1][1]


def dataset_settings(*, start_us: int, speed_up: float, seed: int = 1, run_id: str = "") -> TrafficSettings:
    """Return settings for the replay of real baskets: they stay as they are, and supply moves in days.

    Args:
        start_us: a moment before the first basket.
        speed_up: seconds of the dataset's time for each second of the reader's clock.
        seed: as in :class:`TrafficSettings`.
        run_id: as in :class:`TrafficSettings`.
    """
    return TrafficSettings(
        start_us=start_us,
        seed=seed,
        speed_up=speed_up,
        duration_s=None,
        run_id=run_id or f"cj{seed}",
        life=UNCHANGED,
        supply=SupplySettings(
            fill_target=0.95,
            lead_time_us=72 * HOUR_US,
            review_us=12 * HOUR_US,
            slip_us=24 * HOUR_US,
            planned_delay_us=6 * HOUR_US,
        ),
        fulfilment=FulfilmentSettings(
            pick_after_us=4 * HOUR_US, ship_after_us=2 * HOUR_US, return_within_us=7 * 24 * HOUR_US
        ),
        floor=FloorSettings(back_after_us=24 * HOUR_US),
    )


def dataset_speed_up(rate: float) -> float:
    """Return the speed-up at which the dataset gives so many input records for each second of the reader's clock."""
    return rate / (DATASET_LINES_PER_SECOND * RECORDS_PER_DATASET_LINE)


def morning_of(moment_us: int) -> int:
    """Return 07:00 of the model's local day that holds a moment: a good start for a day-long run."""
    offset_us = BasketSettings().utc_offset_hours * HOUR_US
    return (moment_us + offset_us) // DAY_US * DAY_US - offset_us + 7 * HOUR_US


def provenance(settings: TrafficSettings, tally: dataset.Tally | None = None) -> tuple[str, ...]:
    """Return sentences for people: what of this traffic is real and what is made.

    Args:
        settings: of the run.
        tally: of the dataset, when its baskets are replayed.
    """
    story = f"Scenario {settings.scenario}: {STORIES[settings.scenario]}."
    made = "Made: warehouses, stock, suppliers, notices, receipts, counts, picks and ships, priorities, tiers"
    if tally is None:
        return (
            f"Made: all orders, drawn from a model fitted to {fitted.BASKETS:,} baskets of {fitted.SOURCE}.",
            f"{made}, amendments and cancellations.",
            story,
        )
    return (
        f"From the dataset: {tally.kept_baskets:,} baskets, {tally.kept_lines:,} lines, {len(tally.skus):,} SKUs, "
        "their times, customers, stores, quantities.",
        f"Left out: {tally.fuel_lines:,} lines of fuel, {tally.empty_lines:,} lines of quantity 0, "
        f"{tally.empty_baskets:,} baskets of which nothing was left.",
        "The package's own page calls its data simulated on the basis of real shopping.",
        f"{made}, ship policies and allowed warehouses.",
        story,
    )
