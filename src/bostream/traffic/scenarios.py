"""The stories that a demo can tell, on top of steady traffic.

What must stay true: a scenario adds events or worsens settings; it never bends the rules of the world, so the backlog
of each story is worked off in the end.
"""

import functools
import random
from enum import StrEnum
from typing import NamedTuple

import msgspec

from bostream.domain.sku.events import ScanType
from bostream.traffic.agenda import Agenda, Wire
from bostream.traffic.basket import Basket
from bostream.traffic.floor import Floor
from bostream.traffic.fulfilment import Fulfilment
from bostream.traffic.orders import Orders
from bostream.traffic.stock import Item, StockLedger
from bostream.traffic.supply import Supply, SupplySettings

HOT_SKU = "SKU-HOT"
"""What everybody wants in the scenario ``launch``."""


class Scenario(StrEnum):
    """Which story."""

    STEADY = "steady"
    LAUNCH = "launch"
    LATE_ASN = "late-asn"
    RECOUNT = "recount"


STORIES: dict[Scenario, str] = {
    Scenario.STEADY: "steady traffic: most units are there at once, the rest waits for suppliers",
    Scenario.LAUNCH: "one hot SKU: thousands of orders within seconds, supply comes in waves",
    Scenario.LATE_ASN: "suppliers slip again and again: promises move, receipts come late",
    Scenario.RECOUNT: "two recounts find large shortages and surpluses in many places: units change hands",
}
"""One sentence for people for each."""


class World(NamedTuple):
    """Everything that makes the traffic."""

    agenda: Agenda
    wire: Wire
    ledger: StockLedger
    supply: Supply
    orders: Orders
    floor: Floor
    fulfilment: Fulfilment


class StorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of the stories; ``*_part`` are parts of the whole run.

    Attributes:
        launch_orders: orders on the hot SKU, of one or two units.
        launch_part, launch_length_part: when they come, and within how long.
        launch_opening_share: share of the expected demand that is there at once.
        waves, first_wave_part, last_wave_part: deliveries and when.
        recount_parts: when recounts happen.
        recount_items: most SKUs of one recount.
        recount_short_share, recount_over_share: of places counted.
    """

    launch_orders: int = 3_000
    launch_part: float = 0.2
    launch_length_part: float = 0.08
    launch_opening_share: float = 0.1
    waves: int = 5
    first_wave_part: float = 0.35
    last_wave_part: float = 0.8
    recount_parts: tuple[float, ...] = (0.4, 0.7)
    recount_items: int = 400
    recount_short_share: float = 0.5
    recount_over_share: float = 0.2


def supply_of(scenario: Scenario, supply: SupplySettings) -> SupplySettings:
    """Return how suppliers behave in a scenario."""
    if scenario is Scenario.LATE_ASN:
        return msgspec.structs.replace(supply, slip_share=0.85, slips_max=4, slip_us=supply.lead_time_us // 2)
    return supply


def enter(
    world: World, scenario: Scenario, story: StorySettings, *, start_us: int, length_us: int, chance: random.Random
) -> None:
    """Enter the events of a scenario.

    Args:
        world: where they happen.
        scenario: which.
        story: how large.
        start_us: start of the run that the parts refer to.
        length_us: its length.
        chance: owned by the scenario from now on.
    """
    if scenario is Scenario.LAUNCH:
        Launch(world, story, start_us, length_us, chance).enter()
    elif scenario is Scenario.RECOUNT:
        recount = functools.partial(
            world.floor.recount,
            items_max=story.recount_items,
            short_share=story.recount_short_share,
            over_share=story.recount_over_share,
        )
        for part in story.recount_parts:
            world.agenda.at(start_us + part * length_us, recount)


class Launch:
    """The rush on one SKU, see :func:`enter`."""

    def __init__(
        self, world: World, story: StorySettings, start_us: int, length_us: int, chance: random.Random
    ) -> None:
        self._world = world
        self._story = story
        self._start_us = start_us
        self._length_us = length_us
        self._chance = chance
        self._item = world.ledger.add(HOT_SKU)
        self._item.managed = False

    def enter(self) -> None:
        """Put the opening stock on the shelf and enter rush and waves."""
        story, agenda = self._story, self._world.agenda
        expected = round(story.launch_orders * (1 + _TWO_UNITS_SHARE))
        opening = round(expected * story.launch_opening_share)
        self._item.position = opening
        agenda.at(self._start_us, functools.partial(self._open, self._item, opening))
        for number in range(story.launch_orders):
            at = self._moment(story.launch_part + self._chance.random() * story.launch_length_part)
            agenda.at(at, functools.partial(self._order, number + 1))
        # The waves that are planned leave a rest; the last one is ordered when it is known what still waits.
        planned = round(expected * (1 - story.launch_opening_share) * 0.9 / story.waves)
        announced_at = self._moment(story.launch_part / 2)
        for wave in range(story.waves - 1):
            agenda.at(
                announced_at,
                functools.partial(self._world.supply.order_unmanaged, self._item, planned, self._wave(wave)),
            )
        agenda.at(self._moment(story.first_wave_part), self._order_last_wave)

    def _wave(self, wave: int) -> int:
        story = self._story
        step = (story.last_wave_part - story.first_wave_part) / max(1, story.waves - 1)
        return self._moment(story.first_wave_part + wave * step)

    def _moment(self, part: float) -> int:
        return self._start_us + int(part * self._length_us)

    def _open(self, item: Item, units: int) -> None:
        self._world.ledger.scan(
            item, ScanType.COUNTED, item.homes[0], units, expected=0, reason="opening count of the launch"
        )

    def _order(self, number: int) -> None:
        basket = Basket(
            at=self._world.agenda.now,
            basket_id=f"launch-{number:06d}",
            customer_id=f"fan-{number:06d}",
            channel="web",
            lines=((HOT_SKU, 1 + (self._chance.random() < _TWO_UNITS_SHARE)),),
        )
        self._world.orders.place(basket)

    def _order_last_wave(self) -> None:
        # A little more than that, for what pickers will not find and amendments will add.
        missing = self._story.launch_orders // _RESERVE_PARTS - self._item.position
        if missing > 0:
            self._world.supply.order_unmanaged(self._item, missing, self._wave(self._story.waves - 1))


_TWO_UNITS_SHARE = 0.25
_RESERVE_PARTS = 20
