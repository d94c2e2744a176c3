"""The page that users read says what the code does."""

from pathlib import Path

import pytest

from bostream.contract import limits
from bostream.contract.deadletter import UNEXPECTED_REASON
from bostream.contract.reasons import BadRecord
from bostream.contract.topics import topics
from tests.contract.examples import EXAMPLES, SCHEMAS

PAGE = (Path(__file__).parents[2] / "docs" / "CONTRACT.md").read_text(encoding="utf-8")


def section(topic: str) -> str:
    _, _, rest = PAGE.partition(f"\n### `{topic}`: ")
    return rest.partition("\n### ")[0].partition("\n## ")[0]


@pytest.mark.parametrize("topic", EXAMPLES)
def test_the_page_has_every_field_of_every_topic_in_order_with_its_meaning(topic: str) -> None:
    schema = SCHEMAS.newest(topic).parsed
    fields = list(schema["fields"])
    for field in schema["fields"]:
        items = field["type"].get("items") if isinstance(field["type"], dict) else None
        fields += items["fields"] if isinstance(items, dict) and items["type"] == "record" else []
    rows = [line.split(" | ") for line in section(topic).splitlines() if line.startswith("| `")]
    documented = {row[0].removeprefix("| ").strip("`"): row[2] for row in rows}
    for field in fields:
        assert documented[field["name"]].startswith(field["doc"].removesuffix(" |")), field["name"]
    names = [row[0].removeprefix("| ").strip("`") for row in rows]
    assert [field["name"] for field in fields] == names[: len(fields)]


def test_the_page_explains_every_reason_of_a_dead_letter() -> None:
    _, _, table = PAGE.partition("| reason | meaning |")
    for reason in (*BadRecord, UNEXPECTED_REASON):
        assert f"\n| `{reason}` | " in table


def test_the_page_has_the_row_of_every_topic() -> None:
    for spec in topics("{app}"):
        (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{spec.name}` | {spec.role} | ")]
        cells = row.strip("| ").split(" | ")
        assert spec.key == cells[2]
        assert ("P" if "{app}" in spec.name else str(spec.partitions)) == cells[3]
        assert spec.config["cleanup.policy"] == cells[4]
        assert f"{int(spec.config['max.message.bytes']) // 2**20} MiB" == cells[6]


def test_the_page_states_the_bounds_that_are_enforced() -> None:
    for bound in (
        limits.QUANTITY_MAX,
        limits.ID_CHARACTERS_MAX,
        limits.TEXT_CHARACTERS_MAX,
        limits.LINES_MAX,
        limits.NAMES_MAX,
        limits.WAIT_DAYS_MAX,
        limits.HOLD_HOURS_MAX,
        limits.JSON_DEPTH_MAX,
    ):
        assert f"{bound:,}" in PAGE.partition("## Bounds")[2].partition("## Wire formats")[0]
