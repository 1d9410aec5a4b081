"""The engine on RocksDB: the only importer of rocksdict.

The write-ahead log of RocksDB is off: the commit log has every write until `flush` made it durable
here. A batch goes into one memtable as a whole and memtables reach the disk in order, so that what
a crash leaves is always a prefix of the batches.

What to know of rocksdict 0.3.29: `write` and iterators hold the GIL, `get` of a list and `flush`
release it; options of a column family are forgotten on reopen unless handed in again; options
handed to a single call are built anew each time; an iterator ends at a damaged block as at the end
of the data, and only `status()` tells the two apart; the iterators of a snapshot do not know of it
(its point reads do), but any iterator shows what there was when it was made; an iterator does not
keep the options alive in which its bound stands; `set_iterate_lower_bound` sets the upper bound.

On a full disk a flush or compaction fails, and from then on every write and flush fails with what
it has met, until RocksDB finds by itself that there is room for a memtable again: it looks every
five seconds, and tries to flush then. `flush` meanwhile gets in its way: it should come rarely.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

from rocksdict import (
    AccessType,
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DataBlockIndexType,
    DbClosedError,
    DBCompressionType,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
    WriteOptions,
)
from rocksdict import WriteBatch as NativeBatch

from kvstore.errors import (
    ConfigurationError,
    CorruptionError,
    InvariantViolation,
    KVStoreError,
    ResourceExhausted,
)
from kvstore.storage.engine import EnginePage, WriteBatch

MEMTABLE_BYTES: Final = 32 << 20
"""Four of them are merged at once into all of a level that they touch, be they large or small."""
MEMTABLES_MAX: Final = 3
BLOCK_CACHE_BYTES: Final = 32 << 20

_BLOOM_BITS_PER_KEY: Final = 10
_METADATA_BLOCK_BYTES: Final = 4096
_MEMTABLE_BLOOM_RATIO: Final = 0.025
_TABLE_FILE_BYTES: Final = 32 << 20
_LEVEL_BASE_BYTES: Final = 128 << 20
_OPEN_FILES_MAX: Final = 1000
_LEVEL0_SLOWDOWN_FILES: Final = 32
_LEVEL0_STOP_FILES: Final = 64
_INFO_LOG_BYTES_MAX: Final = 2 << 20
_INFO_LOGS_MAX: Final = 4
_MANIFEST_BYTES_MAX: Final = 16 << 20


class RocksBatch:
    """See WriteBatch. `put` and `delete` are the native methods: a batch is on the hot path."""

    __slots__ = ("delete", "native", "put")

    def __init__(self) -> None:
        self.native = NativeBatch(raw_mode=True)
        self.put: Callable[[bytes, bytes], None] = self.native.put
        self.delete: Callable[[bytes], None] = self.native.delete

    def delete_range(self, start: bytes, end: bytes, /) -> None:
        """See WriteBatch."""
        if start > end:
            raise ValueError(f"range {start!r} to {end!r} ends before it starts")
        self.native.delete_range(start, end)

    def __len__(self) -> int:
        return len(self.native)

    def size_in_bytes(self) -> int:
        """See WriteBatch."""
        return self.native.size_in_bytes()


class RocksView:
    """See EngineView: an iterator, which RocksDB keeps as of the moment in which it was made."""

    def __init__(
        self, engine: RocksEngine, iterator: RdictIter, options: ReadOptions, end: bytes
    ) -> None:
        self._engine = engine
        self._iterator: RdictIter | None = iterator
        self._options = options  # has to live as long as the iterator: it owns the bound
        self._end = end

    def scan(
        self,
        start: bytes,
        end: bytes | None = None,
        *,
        limit: int,
        bytes_max: int,
        keys_only: bool = False,
        reverse: bool = False,
    ) -> EnginePage:
        """See EngineView."""
        if self._engine.is_closed or self._iterator is None:
            raise InvariantViolation("a view was used after it or its engine was closed")
        try:
            return _page(
                self._iterator,
                start,
                None if end == self._end else end,
                limit=limit,
                bytes_max=bytes_max,
                keys_only=keys_only,
                reverse=reverse,
            )
        except Exception as problem:
            raise self._engine.error(problem) from problem.with_traceback(None)

    def close(self) -> None:
        """See EngineView."""
        self._iterator = None


class RocksEngine:
    """See Engine. `path` is a folder that holds nothing else; it is made where it is missing.

    With `read_only` nothing is written to the engine's own files, and `write` raises OSError; but
    rocksdict rewrites its configuration beside them (`read_only.open_read_only` copes).

    Opening raises ConfigurationError when the folder is in use or cannot be read by this version,
    and CorruptionError when its files are damaged.
    """

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        self._path = path
        self._closed = False
        # An engine is open as long as there is an iterator.
        self._views: WeakSet[RocksView] = WeakSet()
        options = _options()
        access = AccessType.read_only() if read_only else AccessType.read_write()
        try:
            database = Rdict(path, options, {"default": options}, access)
        except Exception as problem:
            raise _opening_error(path, problem) from problem
        write_options = WriteOptions()
        # The stub has a method where there is a property.
        write_options.disable_wal = True  # type: ignore[method-assign, assignment]
        # A stalled write holds the GIL, and with it the event loop and its heartbeats: it is
        # refused instead, and made again later.
        write_options.no_slowdown = True
        database.set_write_options(write_options)
        self._database = database
        # The stub says what get gives for one key; for a list of keys it is a list.
        self._get: Callable[[list[bytes]], list[bytes | None]] = database.get  # type: ignore[assignment]
        self._write: Callable[[NativeBatch], None] = database.write

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """See Engine."""
        try:
            return self._get(keys)
        except Exception as problem:
            raise self.error(problem) from problem

    def scan(
        self,
        start: bytes,
        end: bytes | None,
        *,
        limit: int,
        bytes_max: int,
        keys_only: bool = False,
        reverse: bool = False,
    ) -> EnginePage:
        """See Engine."""
        try:
            return self._scan(start, end, limit, bytes_max, keys_only=keys_only, reverse=reverse)
        except Exception as problem:
            # Its frames have the iterator, and that would keep a closed engine open.
            raise self.error(problem) from problem.with_traceback(None)

    def _scan(
        self,
        start: bytes,
        end: bytes | None,
        limit: int,
        bytes_max: int,
        *,
        keys_only: bool,
        reverse: bool,
    ) -> EnginePage:
        options = _range_options(end)  # has to live as long as the iterator: it owns the bound
        return _page(
            self._database.iter(options),
            start,
            end if reverse else None,
            limit=limit,
            bytes_max=bytes_max,
            keys_only=keys_only,
            reverse=reverse,
        )

    def view(self, start: bytes, end: bytes) -> RocksView:
        """See Engine."""
        try:
            options = _range_options(end)
            view = RocksView(self, self._database.iter(options), options, end)
            self._views.add(view)
            return view
        except Exception as problem:
            raise self.error(problem) from problem

    def new_batch(self) -> RocksBatch:
        """See Engine."""
        return RocksBatch()

    def write(self, batch: WriteBatch) -> None:
        """See Engine."""
        if not isinstance(batch, RocksBatch):
            raise TypeError("a batch is written by the engine that made it")
        try:
            self._write(batch.native)
        except Exception as problem:
            raise self.error(problem) from problem

    def flush(self) -> None:
        """See Engine."""
        try:
            self._database.flush()
        except Exception as problem:
            raise self.error(problem) from problem

    def approximate_bytes(self) -> int:
        """See Engine."""
        return self._number("live-sst-files-size") + self._number("cur-size-all-mem-tables")

    def close(self) -> None:
        """See Engine."""
        if not self._closed:
            self._closed = True
            for view in list(self._views):
                view.close()
            try:
                self._database.close()
            except Exception as problem:
                error = self.error(problem)
                # It tries to flush, which is not promised: the commit log has it all. Nor is it
                # news that the engine is damaged: compactions have failed, and so does every write.
                if not isinstance(error, (ResourceExhausted, CorruptionError)):
                    raise error from problem

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _number(self, name: str) -> int:
        try:
            return self._database.property_int_value(f"rocksdb.{name}") or 0
        except Exception as problem:
            raise self.error(problem) from problem

    def error(self, problem: Exception) -> Exception:
        """What to raise for an exception out of rocksdict: its kinds are told by their text."""
        message = str(problem)
        if isinstance(problem, DbClosedError):
            return InvariantViolation("the engine was used after it was closed")
        if type(problem) is not Exception:
            return problem  # a mistake of the caller, such as a key that is not bytes
        if "already consumed" in message:
            return InvariantViolation("a batch is written once")
        return _operating_error(self._path, message)


def _range_options(end: bytes | None) -> ReadOptions:
    options = ReadOptions()
    if end is not None:
        # Not only a comparison saved: without it, the iterator walks on through deleted keys.
        options.set_iterate_upper_bound(end)
    return options


def _page(
    iterator: RdictIter,
    start: bytes,
    end: bytes | None,
    *,
    limit: int,
    bytes_max: int,
    keys_only: bool,
    reverse: bool,
) -> EnginePage:
    """What `iterator` has of the range; without an `end`, up to its own bound."""
    valid, key_of, value_of = iterator.valid, iterator.key, iterator.value
    step = iterator.prev if reverse else iterator.next
    seek = _seek_last if reverse else _seek_first
    has_any, final = seek(iterator, start, end)
    keys: list[bytes] = []
    values: list[bytes] = []
    size = 0
    while has_any and valid():
        if len(keys) == limit:
            return EnginePage(keys, values, more=True)
        key = key_of()
        value = b"" if keys_only else value_of()
        size += len(key) + len(value)
        if keys and size > bytes_max:
            return EnginePage(keys, values, more=True)
        keys.append(key)
        if not keys_only:
            values.append(value)
        if key == final:
            break
        step()
    iterator.status()
    return EnginePage(keys, values, more=False)


def _seek_first(iterator: RdictIter, start: bytes, end: bytes | None) -> tuple[bool, bytes | None]:
    """Goes to the first key of the range. Whether there is one, and the last one; None: it is where
    the iterator ends by itself."""
    final = None
    if end is not None:
        final = _key_before(iterator, end)
        if final is None or final < start:
            return False, None
    iterator.seek(start)
    return True, final


def _seek_last(iterator: RdictIter, start: bytes, end: bytes | None) -> tuple[bool, bytes | None]:
    """Goes to the last key of the range. Whether there is one, and the first one: there is no lower
    bound to be set, and a step below the range may lead through any number of deleted keys."""
    iterator.seek(start)
    final = iterator.key() if iterator.valid() else None
    if final is None or (end is not None and final >= end):
        return False, None
    _key_before(iterator, end)
    return True, final


def _key_before(iterator: RdictIter, end: bytes | None) -> bytes | None:
    """The last key before `end`, to which it goes; None where there is none."""
    if end is None:
        iterator.seek_to_last()
    else:
        iterator.seek_for_prev(end)
        if iterator.valid() and iterator.key() == end:
            iterator.prev()
    return iterator.key() if iterator.valid() else None


def _operating_error(path: str, message: str) -> KVStoreError | OSError:
    if "No space left on device" in message or "Space limit reached" in message:
        return ResourceExhausted(f"the disk under {path} is full: {message}")
    if "Write stall" in message:
        return ResourceExhausted(f"the engine in {path} cannot keep up: {message}")
    if "Corruption" in message:
        return CorruptionError(f"the engine in {path} is damaged: {message}")
    return OSError(errno.EIO, f"the engine failed: {message}", path)


def _opening_error(path: str, problem: Exception) -> KVStoreError:
    message = str(problem)
    lower = message.lower()
    if "lock hold by current process" in lower or "while lock file" in lower:
        return ConfigurationError(
            f"{path} is in use by another process: stop it, or choose another data directory"
        )
    if "newer version" in lower or "invalid argument" in lower or "not supported" in lower:
        return ConfigurationError(
            f"{path} was written by another version, which this one cannot read: {message}"
        )
    if "corruption" in lower or "no such file" in lower:  # one that its manifest names
        return CorruptionError(
            f"the engine in {path} is damaged; this node's data must be rebuilt from its peers: "
            f"{message}"
        )
    return ConfigurationError(f"the engine in {path} cannot be opened: {message}")


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_paranoid_checks(True)
    _bound_memory(options)
    _bound_stalls(options)
    _bound_files(options)
    return options


def _bound_memory(options: Options) -> None:
    """At most MEMTABLES_MAX × MEMTABLE_BYTES + BLOCK_CACHE_BYTES, and what open files take."""
    table = BlockBasedOptions()
    table.set_block_cache(Cache(BLOCK_CACHE_BYTES))
    # Inside the cache, or they would grow with the data, outside any bound.
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_bloom_filter(_BLOOM_BITS_PER_KEY, False)
    # In parts, and not whole: those of one file are larger than a data block by a hundred times,
    # and the cache is cut into shards of half a MiB, out of which they would push each other.
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_metadata_block_size(_METADATA_BLOCK_BYTES)
    table.set_pin_top_level_index_and_filter(True)
    table.set_data_block_index_type(DataBlockIndexType.binary_and_hash())
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(MEMTABLE_BYTES)
    options.set_max_write_buffer_number(MEMTABLES_MAX)
    # Before each write comes a read that mostly finds nothing in the memtables.
    options.set_memtable_prefix_bloom_ratio(_MEMTABLE_BLOOM_RATIO)
    options.set_memtable_whole_key_filtering(True)
    options.set_max_open_files(_OPEN_FILES_MAX)


def _bound_stalls(options: Options) -> None:
    """A write that would stall is refused (`no_slowdown`), and the round has to be made again.

    So the triggers are far above what compaction reaches when it keeps up at all: what is left is
    the wait for one memtable's flush when all are full.
    """
    options.set_max_background_jobs(2)
    options.set_level_zero_slowdown_writes_trigger(_LEVEL0_SLOWDOWN_FILES)
    options.set_level_zero_stop_writes_trigger(_LEVEL0_STOP_FILES)


def _bound_files(options: Options) -> None:
    options.set_compression_type(DBCompressionType.lz4())
    options.set_level_compaction_dynamic_level_bytes(True)
    options.set_target_file_size_base(_TABLE_FILE_BYTES)
    options.set_max_bytes_for_level_base(_LEVEL_BASE_BYTES)
    # Written back bit by bit, so that the commit log's sync does not wait behind a whole file.
    options.set_bytes_per_sync(1 << 20)
    options.set_max_manifest_file_size(_MANIFEST_BYTES_MAX)
    options.set_max_log_file_size(_INFO_LOG_BYTES_MAX)
    options.set_keep_log_file_num(_INFO_LOGS_MAX)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
