"""The loop under seeded faults; a seed that fails is run again by its number."""

import pytest

from tests.engine.simulation import Simulation

SEEDS = 100
STEPS = 150


@pytest.mark.parametrize("block", range(10))
def test_whatever_happens_every_effect_is_there_once(block: int) -> None:
    happened = 0
    for seed in range(block, SEEDS, 10):
        simulation = Simulation(seed)
        try:
            simulation.run(STEPS)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        happened += simulation.crashes + simulation.faults
    assert happened
