"""Why units moved, in one sentence."""

from typing import Any

import msgspec
import pytest

from bostream.cli.tailing.explain_allocation import explain_allocation
from bostream.contract.records import AllocationEvent, AllocationType
from tests.contract.examples import allocation


def event(**changes: Any) -> AllocationEvent:
    return msgspec.convert(allocation(**changes), AllocationEvent)


def test_an_allocation_says_everything_that_led_to_it() -> None:
    assert (
        "3 × S at W1 to order o-1 line 1: STOCK_RECEIVED by inventory-scans/RECEIVED e-2; rank 5/o-1/1, 7 units ahead; "
        "line now 3 of 5 allocated, 2 waiting; 0 left at W1, 3 on hand; default@0, seq 1"
    ) == explain_allocation(event())


def test_a_deallocation_that_leaves_a_hole_shows_it() -> None:
    sentence = explain_allocation(
        event(type="DEALLOCATED", quantity=1, reason="COUNT_SHORTAGE", on_hand_after=-2, units_ahead=1)
    )

    assert "1 × S at W1 from order o-1 line 1: COUNT_SHORTAGE by" in sentence
    assert "1 unit ahead" in sentence
    assert "0 left at W1, -2 on hand" in sentence


def test_a_line_tells_what_became_of_all_its_units() -> None:
    sentence = explain_allocation(
        event(type="SHIPPED", ordered=20, allocated=5, picked=2, shipped=7, cancelled=3, waiting=5)
    )

    assert "for order o-1 line 1" in sentence
    assert "line now 5 of 20 allocated (2 picked), 7 shipped, 3 cancelled, 5 waiting" in sentence


def test_where_no_location_applies_no_stock_is_told() -> None:
    sentence = explain_allocation(event(type="CANCELLED", location="", available_after=0, on_hand_after=0))

    assert sentence.startswith("3 × S of order o-1 line 1:")
    assert "left at" not in sentence


@pytest.mark.parametrize("kind", list(AllocationType))
def test_every_type_can_be_explained(kind: AllocationType) -> None:
    assert "order o-1 line 1" in explain_allocation(event(type=kind.value))
