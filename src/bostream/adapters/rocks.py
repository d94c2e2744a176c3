"""The local stores of a worker on RocksDB: one small database per partition, all within one memory budget.

What must stay true: a store never holds less than some whole number of its writes, in order, or it refuses to open.
Kafka is the truth, so nothing is synced: after a killed process the operating system still has every write, and after
a power cut RocksDB opens at an earlier write (point-in-time recovery), from where the changelog is replayed.

The write-ahead log stays on although the guarantee would hold without it, since rows and offset share a write and a
flush keeps a prefix of the writes. Without it a killed worker would replay everything since the last flush of each
store (up to a whole write buffer of changes) before its partitions run again; a write costs less than that.

A scan must never end early without a word: RocksDB's iterator turns invalid at an unreadable block exactly as it does
at the end, so whenever it is invalid its status is asked. While it is valid its status is good, which is why a scan
that is let go early has nothing left to ask.
"""

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DataBlockIndexType,
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from bostream.engine.ports import Partition
from bostream.engine.ranges import scan_bounds
from bostream.errors import ConfigurationError, CorruptStateError, InvariantError, StoreFailedError

_MB: Final = 1 << 20
_DIRECTORY_MODE: Final = 0o700
_STORE_WRITE_BUFFER_MB: Final = 8
_BLOCK_BYTES: Final = 8 << 10
_BLOOM_BITS_PER_KEY: Final = 10
_MEMTABLE_BLOOM_RATIO: Final = 0.05
_BACKGROUND_JOBS: Final = 2
_OPEN_FILES_MAX: Final = 256
_LOG_FILES: Final = 2
_LOG_FILE_BYTES: Final = 1 * _MB
_MANIFEST_BYTES: Final = 4 * _MB
# RocksDB holds writers back while it cannot flush or compact enough, on a full disk sometimes for ever. The library
# would wait for it holding the GIL, which freezes the whole process. So it is told to answer instead, and we wait.
_STALL_PAUSE_S: Final = 0.005
_STALL_PAUSES_MAX: Final = 6000
# Queues leave runs of tombstones where they were served: a file with this many deletions in a window of entries is
# compacted, whatever its level says.
_TOMBSTONE_WINDOW: Final = 4096
_TOMBSTONES_IN_WINDOW: Final = 1024
_TOMBSTONE_RATIO: Final = 0.5


class RocksStore:
    """A :class:`bostream.engine.ports.Store` on one RocksDB; used by one thread.

    Args:
        database: open, in raw mode.
        path: its directory, for messages.
    """

    def __init__(self, database: Rdict, path: Path) -> None:
        self._database = database
        self._path = path
        self._is_open = True
        self._without_waiting = WriteOptions()
        self._without_waiting.no_slowdown = True
        # An iterator keeps the database, and with it the directory's lock, alive after close: so close drops them.
        self._iterators: dict[int, RdictIter] = {}
        self._scans = 0

    def get(self, key: bytes) -> bytes | None:
        """Return the value or None.

        Raises:
            CorruptStateError: the block does not pass its checksum.
            StoreFailedError: the disk fails.
        """
        try:
            value: bytes | None = self._database.get(key)
        except Exception as error:
            raise _remedy(error, self._path) from error
        return value

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield pairs as they were when the scan began; see :meth:`bostream.domain.state.Table.scan`.

        Raises:
            CorruptStateError: a block does not pass its checksum; rows before it were yielded.
            StoreFailedError: the disk fails.
            InvariantError: the store was closed.
        """
        low, high = scan_bounds(prefix, start, reverse=reverse)
        if high is not None and low >= high:
            return
        scan = self._scans
        self._scans += 1
        iterators = self._iterators
        try:
            iterators[scan] = self._iterator(low, high, reverse=reverse)
            while iterators[scan].valid():
                # No local name for the iterator: it would outlive a close.
                key = iterators[scan].key()
                if key < low:
                    return
                yield key, iterators[scan].value()
                if reverse:
                    iterators[scan].prev()
                else:
                    iterators[scan].next()
            iterators[scan].status()
        except KeyError:
            raise InvariantError(f"the store in {self._path} was closed during a scan") from None
        except Exception as error:
            raise _remedy(error, self._path) from error
        finally:
            iterators.pop(scan, None)

    def write(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Apply all changes atomically. No other thread of the process runs meanwhile: the library keeps the GIL.

        Raises:
            StoreFailedError: the disk is full, fails or does not keep up; nothing was applied, and this store takes no
                write any more.
            CorruptStateError: the database found itself corrupt.
        """
        kept = list(changes)
        for _ in range(_STALL_PAUSES_MAX):
            try:
                # A batch is consumed even by a write that was held back.
                self._database.write(_batch(kept), self._without_waiting)
            except Exception as error:
                if not _is_stall(error):
                    raise _remedy(error, self._path) from error
            else:
                return
            time.sleep(_STALL_PAUSE_S)
        raise StoreFailedError(f"{self._path}: held back for {_STALL_PAUSES_MAX * _STALL_PAUSE_S:.0f} s, giving up")

    def close(self) -> None:
        """Close it; the directory may be opened again. Closing twice is no error.

        Raises:
            StoreFailedError: the disk is full or fails.
        """
        if not self._is_open:
            return
        self._is_open = False
        self._iterators.clear()
        try:
            self._database.close()
        except Exception as error:
            raise _remedy(error, self._path) from error

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self._is_open

    def _iterator(self, low: bytes, high: bytes | None, *, reverse: bool) -> RdictIter:
        """Return an iterator at its first row; the upper bound keeps it from walking over tombstones beyond.

        There is no lower bound: in rocksdict 0.3.29 ``set_iterate_lower_bound`` sets the upper one. So a reverse scan
        that exhausts its prefix looks for one row before it.
        """
        options = ReadOptions()
        if high is not None:
            options.set_iterate_upper_bound(high)
        iterator = self._database.iter(options)
        if reverse:
            iterator.seek_to_last()
        else:
            iterator.seek(low)
        return iterator


class RocksStoreFactory:
    """A :class:`bostream.engine.ports.StoreFactory` over one directory of this machine.

    Args:
        directory: made when it is missing, for this user only; nothing else may lie in it.
        cache_mb: blocks, indexes, filters and write buffers of all stores together.
        write_buffer_mb: the part of it that unflushed writes may take, over all stores.
    """

    def __init__(self, directory: Path, cache_mb: int, write_buffer_mb: int) -> None:
        if not 0 < write_buffer_mb <= cache_mb:
            raise ConfigurationError(
                f"write_buffer_mb is {write_buffer_mb}, but must be above 0 and at most cache_mb ({cache_mb})"
            )
        self._directory = directory
        self._cache = Cache(cache_mb * _MB)
        # No stalls: the store's writer is the worker's only thread, and a stall would hold the GIL.
        self._buffers = WriteBufferManager.new_write_buffer_manager_with_cache(
            write_buffer_mb * _MB, allow_stall=False, cache=self._cache
        )
        self._store_buffer_bytes = min(write_buffer_mb, _STORE_WRITE_BUFFER_MB) * _MB
        self._stores: dict[Partition, RocksStore] = {}

    def open(self, partition: Partition) -> RocksStore:
        """Open, or create, the store of a partition.

        Raises:
            CorruptStateError: it cannot be read: wipe it.
            ConfigurationError: another process holds the directory, or it is not ours to write.
            StoreFailedError: the disk is full or fails.
            InvariantError: this process has it open.
        """
        self._check_closed(partition)
        path = self.path(partition)
        try:
            _make_private(self._directory)
            _make_private(path)
            database = Rdict(str(path), self._options())
        except Exception as error:
            raise _remedy_of_open(error, path) from error
        store = RocksStore(database, path)
        self._stores[partition] = store
        return store

    def wipe(self, partition: Partition) -> None:
        """Remove the store of a partition for good; it must be closed. A wipe cut short leaves no half store."""
        self._check_closed(partition)
        path = self.path(partition)
        doomed = path.with_name(f"{path.name}.wiped")
        try:
            shutil.rmtree(doomed, ignore_errors=True)
            if path.exists():
                path.rename(doomed)
                shutil.rmtree(doomed)
        except OSError as error:
            raise StoreFailedError(f"{path} cannot be removed: {error}") from error

    def path(self, partition: Partition) -> Path:
        """Return the directory of a partition's store."""
        return self._directory / f"{partition.topic}-{partition.number}"

    def _check_closed(self, partition: Partition) -> None:
        store = self._stores.get(partition)
        if store is not None and store.is_open:
            raise InvariantError(f"the store of {partition} is open")

    def _options(self) -> Options:
        """Return options for one of many small databases in one process."""
        table = BlockBasedOptions()
        table.set_block_cache(self._cache)
        table.set_block_size(_BLOCK_BYTES)
        table.set_bloom_filter(_BLOOM_BITS_PER_KEY, block_based=False)
        table.set_data_block_index_type(DataBlockIndexType.binary_and_hash())
        # Indexes and filters count against the budget too, else many stores would outgrow it unseen.
        table.set_cache_index_and_filter_blocks(True)
        table.set_pin_l0_filter_and_index_blocks_in_cache(True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(table)
        options.set_write_buffer_manager(self._buffers)
        options.set_write_buffer_size(self._store_buffer_bytes)
        options.set_memtable_prefix_bloom_ratio(_MEMTABLE_BLOOM_RATIO)
        options.set_memtable_whole_key_filtering(True)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_max_background_jobs(_BACKGROUND_JOBS)
        options.set_max_open_files(_OPEN_FILES_MAX)
        options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
        options.set_keep_log_file_num(_LOG_FILES)
        options.set_max_log_file_size(_LOG_FILE_BYTES)
        options.set_max_manifest_file_size(_MANIFEST_BYTES)
        options.set_stats_dump_period_sec(0)
        options.set_stats_persist_period_sec(0)
        options.set_skip_stats_update_on_db_open(True)
        options.add_compact_on_deletion_collector_factory(_TOMBSTONE_WINDOW, _TOMBSTONES_IN_WINDOW, _TOMBSTONE_RATIO)
        return options


def _batch(changes: Iterable[tuple[bytes, bytes | None]]) -> WriteBatch:
    batch = WriteBatch(raw_mode=True)
    put, delete = batch.put, batch.delete
    for key, value in changes:
        if value is None:
            delete(key)
        else:
            put(key, value)
    return batch


def _is_stall(error: Exception) -> bool:
    return _is_of_database(error) and str(error).startswith("Result incomplete")


def _make_private(path: Path) -> None:
    path.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)


def _is_of_database(error: Exception) -> bool:
    """Tell RocksDB's own errors, which the library raises as bare Exception, from errors of ours."""
    return type(error) is Exception


def _remedy(error: Exception, path: Path) -> Exception:
    """Return the error whose remedy fits; the class of RocksDB's status stands first in its message."""
    words = f"{path}: {error}"
    if isinstance(error, DbClosedError):
        return InvariantError(f"a closed store was used: {words}")
    if not _is_of_database(error):
        return error
    if str(error).startswith("Corruption") or "No such file or directory" in str(error):
        return CorruptStateError(words)
    return StoreFailedError(words)


def _remedy_of_open(error: Exception, path: Path) -> Exception:
    words = str(error)
    if "lock" in words and f"{path}{os.sep}LOCK" in words:
        return ConfigurationError(
            f"{path} is in use by another process: give each worker a state directory of its own ({words})"
        )
    if isinstance(error, FileExistsError | NotADirectoryError | PermissionError) or "ermission denied" in words:
        return ConfigurationError(f"{path} cannot be used as a directory for state: {words}")
    if isinstance(error, OSError):
        return StoreFailedError(f"{path}: {words}")
    if _is_of_database(error) and not words.startswith("IO error"):
        return CorruptStateError(f"{path}: {words}")
    return _remedy(error, path)
