"""What only RocksDB can do: break, lie on a full disk, be locked by somebody else."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from bostream.adapters.rocks import RocksStore, RocksStoreFactory
from bostream.engine.ports import Partition
from bostream.errors import ConfigurationError, CorruptStateError

HERE = Partition("app-skus-changelog", 3)
ROWS = 5000


@pytest.fixture
def stores(tmp_path: Path) -> RocksStoreFactory:
    return RocksStoreFactory(tmp_path / "state", cache_mb=8, write_buffer_mb=2)


def fill_and_flush(stores: RocksStoreFactory) -> Path:
    """Write ROWS rows of incompressible length into one table file; return its path."""
    store = stores.open(HERE)
    store.write((b"\x01%06d" % number, b"%0200d" % (number**9)) for number in range(ROWS))
    store._database.flush()
    store.close()
    (table,) = stores.path(HERE).glob("*.sst")
    return table


def flip_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(byte ^ 0xFF for byte in content[middle : middle + 64])
    path.write_bytes(content)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_corrupt_block_ends_a_scan_with_an_error_and_never_in_silence(
    stores: RocksStoreFactory, reverse: bool
) -> None:
    flip_the_middle(fill_and_flush(stores))
    seen: list[bytes] = []

    with pytest.raises(CorruptStateError, match="app-skus-changelog-3"):
        seen.extend(key for key, _ in stores.open(HERE).scan(b"", reverse=reverse))

    assert 0 < len(seen) < ROWS


def test_a_scan_let_go_before_a_corrupt_block_is_no_error(stores: RocksStoreFactory) -> None:
    flip_the_middle(fill_and_flush(stores))

    assert b"\x01000000" == next(stores.open(HERE).scan(b""))[0]


def test_a_corrupt_block_fails_a_get(stores: RocksStoreFactory) -> None:
    flip_the_middle(fill_and_flush(stores))
    store = stores.open(HERE)

    with pytest.raises(CorruptStateError):
        [store.get(b"\x01%06d" % number) for number in range(ROWS)]


@pytest.mark.parametrize("pattern", ["CURRENT", "MANIFEST-*", "*.sst"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"garbage")], ids=["lost", "garbage"])
def test_a_store_with_a_damaged_file_is_corrupt_until_it_is_wiped(stores, pattern, damage) -> None:  # type: ignore[no-untyped-def]
    fill_and_flush(stores)
    for path in stores.path(HERE).glob(pattern):
        damage(path)

    with pytest.raises(CorruptStateError):
        stores.open(HERE)

    stores.wipe(HERE)
    assert [] == list(stores.open(HERE).scan(b""))


def test_a_wipe_that_was_cut_short_is_finished_by_the_next(stores: RocksStoreFactory) -> None:
    fill_and_flush(stores)
    leftover = stores.path(HERE).with_name("app-skus-changelog-3.wiped")
    leftover.mkdir()
    (leftover / "CURRENT").touch()

    stores.wipe(HERE)

    assert [] == list(stores.path(HERE).parent.iterdir())


def run_python(code: str, *arguments: Path) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


OPEN = """
import sys
from pathlib import Path
from bostream.adapters.rocks import RocksStoreFactory
from bostream.engine.ports import Partition
HERE = Partition("app-skus-changelog", 3)
stores = RocksStoreFactory(Path(sys.argv[1]), cache_mb=8, write_buffer_mb=2)
"""


def test_a_directory_in_use_by_another_process_is_named(stores: RocksStoreFactory, tmp_path: Path) -> None:
    code = OPEN + "\ntry: stores.open(HERE)\nexcept Exception as error: print(type(error).__name__, error)"
    store = stores.open(HERE)

    said = run_python(code, tmp_path / "state")

    assert said.startswith(f"ConfigurationError {stores.path(HERE)} is in use by another process")
    store.close()


WRITE_AND_DIE = """
import os
store = stores.open(HERE)
for number in range(100):
    store.write([(b"%03d" % number, b"v")])
os._exit(0)
"""


def test_a_killed_process_loses_no_write(stores: RocksStoreFactory, tmp_path: Path) -> None:
    run_python(OPEN + WRITE_AND_DIE, tmp_path / "state")

    assert 100 == len(list(stores.open(HERE).scan(b"")))


FILL_UP = """
import os, resource, signal
from bostream.errors import StoreFailedError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = stores.open(HERE)
store.write([(b"a", b"1")])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    for number in range(1000):
        store.write([(b"b%d" % number, os.urandom(10_000))])
except StoreFailedError as error:
    print("StoreFailedError", "a" if store.get(b"a") == b"1" else "lost", str(error))
"""


def test_a_disk_that_takes_no_more_fails_the_store_and_keeps_what_it_has(
    stores: RocksStoreFactory, tmp_path: Path
) -> None:
    said = run_python(OPEN + FILL_UP, tmp_path / "state")

    assert said.startswith(f"StoreFailedError a {stores.path(HERE)}")
    assert b"1" == stores.open(HERE).get(b"a")


def test_a_store_lies_in_a_directory_of_its_own_that_only_its_user_enters(stores: RocksStoreFactory) -> None:
    stores.open(HERE)
    path = stores.path(HERE)

    assert "app-skus-changelog-3" == path.name
    assert [0o700, 0o700] == [stat.S_IMODE(directory.stat().st_mode) for directory in (path, path.parent)]


def test_a_file_in_the_place_of_the_directory_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a directory")

    with pytest.raises(ConfigurationError, match="state"):
        RocksStoreFactory(tmp_path / "state", cache_mb=8, write_buffer_mb=2).open(HERE)


@pytest.mark.parametrize(("cache_mb", "write_buffer_mb"), [(8, 0), (8, 9)])
def test_a_budget_that_cannot_be_kept_is_a_wrong_setting(tmp_path: Path, cache_mb: int, write_buffer_mb: int) -> None:
    with pytest.raises(ConfigurationError, match="write_buffer_mb"):
        RocksStoreFactory(tmp_path, cache_mb, write_buffer_mb)


class HeldBack:
    """A database that holds the first writes back, as RocksDB does while it cannot keep up."""

    def __init__(self, database: Rdict, times: int) -> None:
        self._database = database
        self.times = times

    def write(self, batch, options) -> None:  # type: ignore[no-untyped-def]
        if self.times:
            self.times -= 1
            len(batch)
            raise Exception("Result incomplete: Write stall")  # noqa: TRY002 - the library's own class
        self._database.write(batch, options)

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._database.get(key)
        return value


def test_a_write_that_was_held_back_is_tried_again_whole(tmp_path: Path) -> None:
    database = HeldBack(Rdict(str(tmp_path / "db"), Options(raw_mode=True)), times=2)
    store = RocksStore(database, tmp_path)  # type: ignore[arg-type]

    store.write(iter([(b"a", b"1"), (b"b", b"2")]))

    assert (0, b"1", b"2") == (database.times, store.get(b"a"), store.get(b"b"))
