"""The table of faults and what they did."""

from typing import NamedTuple

from tests.integration.harness_oracle import Verdict


class Row(NamedTuple):
    """One fault, some rounds of it.

    Attributes:
        fault: what was done.
        rounds: how often.
        kills: how many processes were killed or frozen by it.
        waiting: input records that were sent and not yet committed at those moments, in all.
        aborted: records of aborted transactions in outputs and internal logs afterwards, from rebalances too.
        verdict: of the oracle at the end.
    """

    fault: str
    rounds: int
    kills: int
    waiting: int
    aborted: int
    verdict: Verdict


_HEADINGS = (
    "fault",
    "rounds",
    "kills",
    "inputs",
    "waiting at kill",
    "effects",
    "aborted",
    "doubled",
    "missing",
    "wrong state",
)


class Matrix:
    """Rows of the table; they may come in any order."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        self.rows.append(row)

    def lines(self) -> list[str]:
        """Return the table, with a last row that adds up."""
        cells = [_cells(row) for row in sorted(self.rows)]
        totals = tuple(sum(column) for column in zip(*(row[1:] for row in cells), strict=True))
        table = [_HEADINGS, *cells, ("all", *totals)]
        widths = [max(len(str(row[column])) for row in table) for column in range(len(_HEADINGS))]
        return [
            "  ".join(
                str(cell).ljust(width) if column == 0 else str(cell).rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in table
        ]


def _cells(row: Row) -> tuple[str, int, int, int, int, int, int, int, int, int]:
    verdict = row.verdict
    return (
        row.fault,
        row.rounds,
        row.kills,
        verdict.inputs,
        row.waiting,
        verdict.effects,
        row.aborted,
        verdict.doubled,
        verdict.missing,
        verdict.wrong_state,
    )
