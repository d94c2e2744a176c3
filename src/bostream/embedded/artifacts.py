"""Brings the jars of Kafka into the user's cache, once, and knows the class path from then on.

What must stay true: the jars are those of ``kafka.lock``, byte for byte, wherever they come from; the file
``classpath`` is written last, so its presence means that everything is there; a start that finds it needs neither a
network nor a resolver; two processes that fetch at the same time do no harm to each other.
"""

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from bostream.embedded.progress import Advance, fetching, say
from bostream.errors import BrokerError

KAFKA_VERSION = "4.3.1"
ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
"""What is resolved when the lock is made: the broker with its storage tool, and something that prints its log."""

CACHE_VARIABLE = "BOSTREAM_CACHE_DIR"
_LOCK_FILE = "kafka.lock"
_CLASS_PATH_FILE = "classpath"
_DOWNLOADS_AT_ONCE = 6
_TRIES_MAX = 3


class Jar(NamedTuple):
    """One line of the lock: Maven coordinate, size in bytes, SHA-256 in hexadecimal."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """The name of the file in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def cache_directory() -> Path:
    """Return where downloads are kept: ``BOSTREAM_CACHE_DIR``, else ``bostream`` in the user's cache directory."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bostream"


def kafka_directory() -> Path:
    """Return the directory of this Kafka version in the cache."""
    return cache_directory() / f"kafka-{KAFKA_VERSION}"


def locked_jars() -> list[Jar]:
    """Return the jars that the lock names."""
    text = resources.files("bostream.embedded").joinpath(_LOCK_FILE).read_text(encoding="utf-8")
    jars = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            coordinate, size, sha256 = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, int(size), sha256))
    return jars


def class_path() -> str:
    """Return the class path of the broker, fetching the jars when this is the first time.

    Raises:
        BrokerError: they could not be fetched.
    """
    directory = kafka_directory()
    known = _read_class_path(directory)
    if known is None:
        _fetch(directory)
        known = _read_class_path(directory)
        if known is None:
            raise BrokerError(f"{directory} changed while Kafka was being fetched: remove it and start again.")
    return known


def _read_class_path(directory: Path) -> str | None:
    """Return None when it must be fetched: nothing is there, it is of another lock, or jars were removed since."""
    try:
        lock_digest, *names = (directory / _CLASS_PATH_FILE).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ValueError):
        return None
    jars = [directory / "jars" / name for name in names]
    if lock_digest != _lock_digest() or not all(jar.is_file() for jar in jars):
        return None
    return os.pathsep.join(map(str, jars))


def _lock_digest() -> str:
    return hashlib.sha256(resources.files("bostream.embedded").joinpath(_LOCK_FILE).read_bytes()).hexdigest()


def _fetch(directory: Path) -> None:
    """Fetch every jar beside the final place, check it, then move each into place by an atomic rename."""
    jars = locked_jars()
    try:
        (directory / "jars").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BrokerError(
            f"cannot write the cache {directory}: {error}. Set {CACHE_VARIABLE} to another place."
        ) from error
    with _staging(directory) as staging:
        missing = [jar for jar in jars if not _is_intact(directory / "jars" / jar.file_name, jar)]
        with fetching(f"fetching Kafka {KAFKA_VERSION}", max(1, sum(jar.size for jar in missing))) as advance:
            _download_all(missing, staging, advance)
        for jar in missing:
            (staging / jar.file_name).replace(directory / "jars" / jar.file_name)
        lines = [_lock_digest(), *(jar.file_name for jar in jars)]
        (staging / _CLASS_PATH_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
        (staging / _CLASS_PATH_FILE).replace(directory / _CLASS_PATH_FILE)


@contextmanager
def _staging(directory: Path) -> Iterator[Path]:
    staging = Path(tempfile.mkdtemp(prefix=".fetching-", dir=directory))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _is_intact(path: Path, jar: Jar) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256


def _download_all(jars: list[Jar], staging: Path, advance: Advance) -> None:
    lock = threading.Lock()

    def download(jar: Jar) -> None:
        _download(jar, staging)
        with lock:
            advance(jar.size)

    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE, thread_name_prefix="fetch-kafka") as pool:
        futures = [pool.submit(download, jar) for jar in jars]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _download(jar: Jar, staging: Path) -> None:
    """Fetch one jar by its exact coordinate; the lock has resolved versions already.

    Raises:
        BrokerError: it cannot be had, or it is not the jar that the lock names.
    """
    try:
        from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 -- optional, and slow to import
    except ImportError as error:
        raise BrokerError(
            "embedded Kafka is not in the cache yet and the package that fetches it is not installed: "
            "pip install 'bostream[embedded]'."
        ) from error

    problem: Exception | None = None
    for attempt in range(_TRIES_MAX):
        repository = staging / f"{jar.artifact}-{attempt}"
        maven = MavenContext(resolver=PythonResolver(), repo_cache=repository)
        try:
            path = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
        except Exception as error:  # noqa: BLE001 -- whatever the resolver or its HTTP client raises, try again
            problem = error
            continue
        if not _is_intact(path, jar):
            problem = ValueError("what arrived is not the file that kafka.lock names (SHA-256 differs)")
            continue
        path.replace(staging / jar.file_name)
        return
    raise BrokerError(
        f"could not fetch {jar.group}:{jar.artifact}:{jar.version} for the embedded Kafka: {problem}. "
        "The first start needs the network (or a proxy in HTTPS_PROXY); later starts do not. Or use a Kafka that "
        "runs already: set BOSTREAM_KAFKA__BOOTSTRAP_SERVERS."
    )


def write_lock(path: Path) -> None:
    """Resolve :data:`ENDPOINT` again and write the lock: for those who move to another version of Kafka."""
    import jgo  # noqa: PLC0415 -- optional, and slow to import
    from jgo.maven import PythonResolver  # noqa: PLC0415

    say(f"resolving {ENDPOINT} …")
    with tempfile.TemporaryDirectory() as directory:
        environment = jgo.build(ENDPOINT, resolver=PythonResolver(), cache_dir=Path(directory))
        files = {jar.name: jar for jar in environment.all_jars}
        resolved = environment.lockfile
        if resolved is None:
            raise BrokerError("the resolver left no list of what it resolved; another version of jgo may do.")
        lines = [f"# Resolved from {ENDPOINT}: coordinate, bytes, SHA-256."]
        for locked in resolved.dependencies:
            jar = files[f"{locked.artifactId}-{locked.version}.jar"]
            digest = hashlib.sha256(jar.read_bytes()).hexdigest()
            lines.append(f"{locked.groupId}:{locked.artifactId}:{locked.version} {jar.stat().st_size} {digest}")
    path.write_text("\n".join([lines[0], *sorted(lines[1:])]) + "\n", encoding="utf-8")
    say(f"{path}: {len(lines) - 1} jars")
