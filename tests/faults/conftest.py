"""What the fault tests found, as a table at the end of the run."""

import pytest

from tests.faults.matrix import Matrix

MATRIX = pytest.StashKey[Matrix]()


@pytest.fixture(scope="session")
def matrix(pytestconfig: pytest.Config) -> Matrix:
    """The table that tests add rows to."""
    return pytestconfig.stash.setdefault(MATRIX, Matrix())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, if there is one."""
    matrix = config.stash.get(MATRIX, None)
    if matrix is not None and matrix.rows:
        terminalreporter.section("kill matrix: worker processes killed or frozen at each step of the transaction loop")
        for line in matrix.lines():
            terminalreporter.write_line(line)
