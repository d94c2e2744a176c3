"""What the demo decides, adds up and shows, without a broker."""

import io
import random
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from bostream.audit.findings import Findings, Kind, Place
from bostream.cli.demonstration import words
from bostream.cli.demonstration.board import Backlog, Board, Notice, Observed, Oldest, SkuBacklog
from bostream.cli.demonstration.latency import LatencyMeter, Percentiles
from bostream.cli.demonstration.observing import Lag
from bostream.cli.demonstration.plan import Plan, Wishes, plan_of
from bostream.cli.demonstration.processes import WorkerState
from bostream.cli.demonstration.report import Report, Seconds
from bostream.cli.demonstration.scene import RateMeter, Rates, Scene
from bostream.cli.demonstration.traffic import Progress
from bostream.cli.demonstration.view import LiveTable, plain_line
from bostream.cli.exits import Exit
from bostream.contract.codec import single_object_writer
from bostream.contract.deadletter import REASON_HEADER
from bostream.contract.records import BackorderLine, LineStatus, NotificationType
from bostream.contract.schemas import load_schemas
from bostream.engine.ports import Record
from bostream.errors import ConfigurationError
from bostream.traffic.agenda import Tally

SCHEMAS = load_schemas()


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BOSTREAM_KAFKA__BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.chdir(tmp_path)


# --- the plan


def test_the_embedded_demo_needs_no_names_and_runs_a_minute() -> None:
    plan = plan_of(Wishes())

    assert ("demo", "", True, 60.0, 300.0, "") == (
        plan.app,
        plan.prefix,
        plan.is_embedded,
        plan.duration_s,
        plan.rate,
        plan.run_id,
    )


def test_on_your_own_kafka_every_name_is_new_for_each_run() -> None:
    first, second = (plan_of(Wishes(bootstrap_servers="kafka:9092")) for _ in range(2))

    assert first.app != second.app
    assert (f"{first.app}.", False) == (first.prefix, first.is_embedded)
    assert first.run_id != second.run_id


def test_a_given_name_is_kept_on_your_own_kafka() -> None:
    plan = plan_of(Wishes(bootstrap_servers="kafka:9092", app="mine", sets=("topics.prefix=p-",)))

    assert ("mine", "p-") == (plan.app, plan.prefix)


def test_servers_from_the_environment_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOSTREAM_KAFKA__BOOTSTRAP_SERVERS", "production:9092")

    assert plan_of(Wishes()).is_embedded


def test_credentials_for_another_cluster_are_refused_by_the_embedded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOSTREAM_KAFKA__SASL_USERNAME", "somebody")

    with pytest.raises(ConfigurationError, match=r"sasl\.username.*--bootstrap-servers"):
        plan_of(Wishes())


def test_a_dataset_that_is_not_installed_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(ConfigurationError, match='make demo ARGS="--dataset completejourney"'):
        plan_of(Wishes(dataset="completejourney"))


def test_rate_zero_means_no_pace_and_zero_seconds_no_end() -> None:
    plan = plan_of(Wishes(rate=0, duration_s=0))

    assert (None, None) == (plan.rate, plan.duration_s)


# --- latency


def test_latency_is_matched_whichever_record_is_read_first() -> None:
    meter = LatencyMeter()
    meter.measure_from(0)
    meter.sent("a", 1_000)
    meter.allocated("a", 1_040)
    meter.allocated("b", 1_100)
    meter.sent("b", 1_010)

    assert Percentiles(2, 40, 90, 90, 90) == meter.overall()


def test_of_a_record_sent_twice_the_first_copy_counts() -> None:
    meter = LatencyMeter()
    meter.measure_from(0)
    meter.sent("a", 1_000)
    meter.sent("a", 5_000)
    meter.allocated("a", 5_100)

    assert 4_100 == meter.overall().max


def test_what_is_caused_before_the_measuring_is_left_out_and_counted() -> None:
    meter = LatencyMeter()
    meter.measure_from(2_000)
    meter.sent("early", 1_999)
    meter.allocated("early", 2_500)
    meter.sent("late", 2_000)
    meter.allocated("late", 2_030)

    assert (1, 30, 1) == (meter.overall().samples, meter.overall().p99, meter.left_out)


def test_what_is_forgotten_is_counted_and_never_guessed() -> None:
    meter = LatencyMeter(ids_max=2)
    meter.measure_from(0)
    for number in range(3):
        meter.sent(str(number), number)
    meter.allocated("0", 50)
    meter.finish()

    assert (0, 1) == (meter.overall().samples, meter.unmatched)


def test_percentiles_equal_those_of_the_sorted_samples() -> None:
    meter, chance = LatencyMeter(), random.Random(7)
    meter.measure_from(0)
    samples = [chance.randrange(900) for _ in range(997)]
    for number, sample in enumerate(samples):
        meter.sent(str(number), 10)
        meter.allocated(str(number), 10 + sample)
    samples.sort()

    found = meter.overall()
    assert (samples[498], samples[897], samples[987], samples[-1]) == (found.p50, found.p90, found.p99, found.max)


def test_the_recent_window_forgets_what_is_older_than_ten_seconds() -> None:
    meter = LatencyMeter()
    meter.measure_from(0)
    for second in (1, 15):
        meter.sent(str(second), second * 1_000)
        meter.allocated(str(second), second * 1_000 + second)

    assert (1, 15) == (meter.recent(16_000).samples, meter.recent(16_000).p50)


# --- the board


def backorder_line(order_id: str, waiting: int, *, sku: str = "S", accepted_at: int = 5) -> Record:
    line = BackorderLine(
        order_id=order_id,
        line_id="1",
        sku=sku,
        ordered=9,
        allocated=9 - waiting,
        picked=0,
        shipped=0,
        cancelled=0,
        waiting=waiting,
        status=LineStatus.WAITING,
        accepted_at=accepted_at,
        waiting_since=accepted_at,
        rank="5",
    )
    value = single_object_writer("backorder-lines", SCHEMAS).write(line)
    return Record("backorder-lines", 0, 0, 0, f"{order_id}/1".encode(), value)


def test_the_backlog_follows_the_last_value_of_each_line() -> None:
    board = Board(SCHEMAS, "")
    board.take([backorder_line("A", 3), backorder_line("B", 2, sku="T", accepted_at=4), backorder_line("A", 1)], 0)

    backlog = board.look(0).backlog
    assert (3, 2, 2, Oldest("B", 4)) == (backlog.units, backlog.lines, backlog.open_lines, backlog.oldest)
    assert (SkuBacklog("T", 2, 1), SkuBacklog("S", 1, 1)) == backlog.top


def test_a_tombstone_closes_a_line() -> None:
    board = Board(SCHEMAS, "")
    board.take([backorder_line("A", 3), Record("backorder-lines", 0, 1, 0, b"A/1", None)], 0)

    assert Backlog(0, 0, 0, 0, None, ()) == board.look(0).backlog


def test_dead_letters_are_counted_by_reason() -> None:
    board = Board(SCHEMAS, "p.")
    board.take([Record("p.orders.dlq", 0, 0, 0, b"k", b"v", ((REASON_HEADER, b"UNDECODABLE"),))], 0)

    assert {"UNDECODABLE": 1} == board.look(0).dead_letters


# --- what is seen


def observed() -> Observed:
    return Observed(
        inputs={"orders": 102, "inventory-scans": 1_917},
        allocations={"ALLOCATED": 1_010},
        units_allocated=1_198,
        notices={"SHIPPED": 57},
        last_notices=(Notice(NotificationType.SHIPPED, "1 unit of [bold]A[/] has shipped. " + "And more. " * 20),) * 9,
        dead_letters={"UNDECODABLE": 2},
        backlog=Backlog(297, 191, 182, 719, Oldest("o" * 60, 1), (SkuBacklog("S" * 60, 12, 3),) * 8),
        latency=Percentiles(660, 48, 90, 151, 301),
        recent_latency=Percentiles(0, None, None, None, None),
        latency_left_out=3,
        latency_unmatched=0,
    )


def scene() -> Scene:
    return Scene(
        plan=plan_of(Wishes()),
        kafka="Kafka",
        phase="running",
        elapsed_s=23.0,
        observed=observed(),
        lag=Lag(12, 30, {}, 2_000),
        workers=(WorkerState("worker-1", 1, is_running=True, kills=1, crashes=0),),
        traffic=Progress("running", Tally(), 20_000_000_000, 2.4, 0.0, ("Made: all.",)),
        rates=Rates(),
    )


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_table_fits_its_terminal_and_takes_no_text_for_markup(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width, height=24, force_terminal=True, color_system=None).print(LiveTable(scene()))

    lines = out.getvalue().splitlines()
    assert width >= max(map(len, lines))
    assert 24 >= len(lines)
    assert "[bold]A[/] has" in out.getvalue()
    assert "5 h 33 min by its clock" in out.getvalue()


def test_the_plain_line_says_what_the_table_says() -> None:
    line = plain_line(scene())

    assert "00:23 running · 2,019 records" in line
    assert "waiting 297 units in 191 lines · 42 to process · 1 worker killed" in line


def test_rates_are_differences_over_the_last_seconds() -> None:
    meter, later = RateMeter(), msgspec.structs.replace(observed(), inputs={"orders": 102, "inventory-scans": 1_957})
    meter.rates(10.0, observed(), Progress())

    assert 20.0 == meter.rates(12.0, later, Progress()).records


@pytest.mark.parametrize(
    ("microseconds", "expected"), [(59_000_000, "59 s"), (20_000_000_000, "5 h 33 min"), (90_000_000_000, "1 d 1 h")]
)
def test_an_age_has_its_two_largest_units(microseconds: int, expected: str) -> None:
    assert expected == words.age(microseconds)


# --- the end


def report(findings: Findings | None, *problems: str) -> Report:
    plan: Plan = plan_of(Wishes())
    return Report(
        plan=plan,
        kafka="Kafka",
        bootstrap_servers="k:1",
        observed=observed(),
        traffic=Progress(),
        workers=(),
        unprocessed=0,
        seconds=Seconds(1, 2, 3, 4, 5),
        findings=findings,
        problems=problems,
        logs=None,
    )


def test_a_difference_outranks_every_other_problem() -> None:
    different = Findings()
    different.add(Kind.ALLOCATION_DOUBLED, Place("allocations", 0, 1), "a SKU", expected=1, actual=2)

    codes = [report(each, *problems).exit_code for each in (Findings(), different) for problems in ((), ("p",))]
    assert [Exit.OK, Exit.BROKER, Exit.INVARIANT, Exit.INVARIANT] == codes


def test_a_demo_without_its_audit_is_no_success() -> None:
    assert Exit.BROKER == report(None).exit_code
