"""A small process of its own that outlives its parent by a moment: it ends the brokers when their owner dies.

The owner may die by ``kill -9`` and can then end nothing itself. So it tells this process, line by line on a pipe, what
it started (``start PID DIRECTORY``), what has ended (``end PID``) and what to remove (``remove DIRECTORY``); a closed
pipe without ``quit`` means that the owner is gone. Signals bound to the parent *thread*
(``PR_SET_PDEATHSIG``) would end a broker too early when a thread of the owner started it, and exist on Linux only.

What must stay true: run as a script with ``-I -S``, standard library only; ends only processes which it was told of and
whose command line still names the directory, so a process id that was given to somebody else is safe.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
from pathlib import Path

_PARENT_CHECK_S = 1.0


def main() -> None:
    """Follow the owner's lines until it quits or dies."""
    parent = os.getppid()
    running: dict[int, str] = {}
    removable: set[str] = set()
    buffered = b""
    while True:
        readable, _, _ = select.select([0], [], [], _PARENT_CHECK_S)
        # A process forked from the owner may hold the pipe open, so a new parent tells the owner's death as well.
        if not readable:
            if os.getppid() != parent:
                break
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            break
        *lines, buffered = (buffered + chunk).split(b"\n")
        for line in lines:
            word, *rest = line.decode().split(" ", 2)
            if word == "start":
                running[int(rest[0])] = rest[1]
            elif word == "end":
                running.pop(int(rest[0]), None)
            elif word == "remove":
                removable.add(" ".join(rest))
            elif word == "quit":
                return
    clean_up(running, removable)


def clean_up(running: dict[int, str], removable: set[str]) -> None:
    """End what still runs and remove what was meant to be temporary."""
    for process, directory in running.items():
        if _is_ours(process, directory):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    for directory in removable:
        shutil.rmtree(directory, ignore_errors=True)


def _is_ours(process: int, directory: str) -> bool:
    command = Path(f"/proc/{process}/cmdline")
    try:
        return directory.encode() in command.read_bytes()
    except OSError:
        # No /proc on this system: trust the process id. On Linux: the process has ended.
        return not Path("/proc/self").exists()


if __name__ == "__main__":
    main()
    sys.exit(0)
