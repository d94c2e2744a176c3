"""How errors end a command: exit codes and what is printed.

What must stay true: the code tells an operator's script what kind of remedy is needed, and never changes meaning.
"""

import contextlib
import sys
from collections.abc import Iterator
from enum import IntEnum

from bostream.errors import (
    BostreamError,
    BrokerError,
    ChainBrokenError,
    ConfigurationError,
    CorruptStateError,
    FencedError,
    InDoubtError,
    InvariantError,
    StoreFailedError,
    TransientError,
)


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    USAGE = 2
    CONFIGURATION = 3
    BROKER = 4
    SCHEMA = 5
    STATE = 6
    FENCED = 7
    INVARIANT = 8


_CODES: dict[type[BostreamError], Exit] = {
    ConfigurationError: Exit.CONFIGURATION,
    BrokerError: Exit.BROKER,
    TransientError: Exit.BROKER,
    CorruptStateError: Exit.STATE,
    ChainBrokenError: Exit.STATE,
    StoreFailedError: Exit.STATE,
    FencedError: Exit.FENCED,
    InDoubtError: Exit.FENCED,
    InvariantError: Exit.INVARIANT,
}


def code_of(error: BaseException) -> Exit:
    """Return the exit code of an error; an unforeseen one counts as a bug of ours."""
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    return Exit.INVARIANT


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn errors raised on purpose into one line on stderr and their exit code; a bug keeps its traceback."""
    try:
        yield
    except BostreamError as error:
        print(f"bostream: {error}", file=sys.stderr)
        raise SystemExit(int(code_of(error))) from error
