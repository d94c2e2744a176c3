"""The stateful stages alone: what they refuse, and what they forget."""

import msgspec
import pytest

from bostream.contract.codec import single_object_writer
from bostream.contract.records import OUTPUT_RECORDS
from bostream.contract.schemas import load_schemas
from bostream.domain.cause import Cause
from bostream.domain.documents.events import DocumentRecord, LineReported, OrderAction, OrderReceived
from bostream.domain.sku.events import (
    DemandChanged,
    DemandReason,
    LineDemand,
    LineRefreshed,
    ScanType,
    StockScanned,
    Terms,
    Ticked,
)
from bostream.engine.ports import Origin, Output, Record, StatefulStage
from bostream.errors import BadRecordError, ConfigurationError
from bostream.stages.common import InternalLogs, Outputs
from bostream.stages.documents import documents_stage
from bostream.stages.skus import skus_stage
from bostream.testing.memory import MemoryState

SCHEMAS = load_schemas()
WRITERS = {topic: single_object_writer(topic, SCHEMAS) for topic in OUTPUT_RECORDS}
CAUSE = Cause("c", "orders/HELD", 1, 2)
FACTORIES = [
    documents_stage(InternalLogs("shop", 2), Outputs("shop", WRITERS)),
    skus_stage(InternalLogs("shop", 2), Outputs("shop", WRITERS)),
]


def process(stage: StatefulStage, value: bytes | None) -> list[Output]:
    record = Record("log", 0, 0, 5_000, None, value)
    out: list[Output] = []
    stage.process(record, Origin(record, 5_000), out.append)
    return out


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    "value",
    [None, b"", b"\xff", b"\x00", msgspec.msgpack.encode(["what", 1]), b"\x91" * 100_000, b"\x92\xa4tick\xa1\xff"],
)
def test_an_internal_record_that_is_none_of_ours_is_bad_and_changes_nothing(number: int, value: bytes | None) -> None:
    state = MemoryState()
    stage = FACTORIES[number](state)
    with pytest.raises(BadRecordError, match="UNDECODABLE"):
        process(stage, value)
    assert {} == state.rows()


@pytest.mark.parametrize("number", [0, 1])
def test_a_tick_does_nothing_by_itself(number: int) -> None:
    state = MemoryState()
    stage = FACTORIES[number](state)
    assert [] == process(stage, msgspec.msgpack.encode(Ticked(1)))
    out: list[Output] = []
    stage.finish(out.append)
    assert [] == out
    assert {} == state.rows()


def test_a_hold_that_reaches_the_desk_is_bad_and_changes_nothing() -> None:
    state = MemoryState()
    stage = FACTORIES[0](state)
    with pytest.raises(BadRecordError, match="NOT_SUPPORTED"):
        process(stage, msgspec.msgpack.encode(OrderReceived(CAUSE, "O1", OrderAction.HELD, Terms(1, 0))))
    assert {} == state.rows()


def test_a_dropped_batch_publishes_no_stock_position() -> None:
    stage = FACTORIES[1](MemoryState())
    process(stage, msgspec.msgpack.encode(StockScanned(CAUSE, "S", ScanType.RECEIVED, "W1", 5)))
    stage.rollback()
    out: list[Output] = []
    stage.finish(out.append)
    assert [] == out


def test_a_finished_batch_is_not_published_again() -> None:
    stage = FACTORIES[1](MemoryState())
    process(stage, msgspec.msgpack.encode(StockScanned(CAUSE, "S", ScanType.RECEIVED, "W1", 5)))
    out: list[Output] = []
    stage.finish(out.append)
    stage.finish(out.append)
    assert [b"S/W1"] == [output.key for output in out]


def demand(*lines: LineDemand) -> bytes:
    return msgspec.msgpack.encode(DemandChanged(CAUSE, "S", "O1", DemandReason.ORDER_AMENDED, Terms(1, 0), lines))


def reports(outputs: list[Output]) -> list[LineReported]:
    events = (
        msgspec.msgpack.decode(output.value or b"", type=DocumentRecord)
        for output in outputs
        if output.topic == "shop-documents"
    )
    return [event for event in events if isinstance(event, LineReported)]


def test_a_book_lets_go_of_a_moved_line_even_when_nothing_of_it_was_open() -> None:
    stage = FACTORIES[1](MemoryState())
    process(stage, demand(LineDemand("1", add=5)))
    process(stage, demand(LineDemand("1", ends=True)))
    (report,) = reports(process(stage, demand(LineDemand("1", ends=True, moved=True))))
    assert (True, 5, 5) == (report.let_go, report.ordered, report.cancelled)
    assert [] == process(stage, demand(LineDemand("unknown", ends=True, moved=True)))


def test_demand_that_takes_back_units_cancelled_after_picking_is_reported() -> None:
    stage = FACTORIES[1](MemoryState())
    process(stage, demand(LineDemand("1", add=5)))
    process(stage, msgspec.msgpack.encode(StockScanned(CAUSE, "S", ScanType.RECEIVED, "W1", 5)))
    picked = StockScanned(Cause("p", "x/PICKED", 1, 2), "S", ScanType.PICKED, "W1", 5, order_id="O1", line_id="1")
    process(stage, msgspec.msgpack.encode(picked))
    process(stage, demand(LineDemand("1", ends=True)))
    (report,) = reports(process(stage, demand(LineDemand("1", add=5))))
    assert (5, 5, 5) == (report.ordered, report.allocated, report.picked)


def test_refreshing_an_unknown_line_publishes_nothing() -> None:
    stage = FACTORIES[1](MemoryState())
    assert [] == process(stage, msgspec.msgpack.encode(LineRefreshed(CAUSE, "S", "O1", "1")))


def test_outputs_without_all_writers_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="stock-positions"):
        Outputs("shop", {k: v for k, v in WRITERS.items() if k != "stock-positions"})
