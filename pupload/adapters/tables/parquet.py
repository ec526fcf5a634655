"""Rows of Parquet, a few at a time, by a library that is installed where somebody wants it."""

import io
from collections.abc import Iterator
from typing import Any

from pupload.adapters.tables.given import Given, Rows, Unreadable
from pupload.domain import tables

CHUNK_CELLS = 50_000
DEPTH = 64
"""Of types in types."""

BUFFER_BYTES = 1 << 20
"""Of each column, so that none is read whole."""

try:
    import pyarrow as pa
    from pyarrow import parquet as pq
except ImportError:  # pragma: no cover - the tests' environment has it
    pa = pq = None


def warm() -> None:
    """Has the library load all it ever will: nothing can be opened any more later."""
    if pa is None:
        return
    table = pa.table({"at": pa.array([0], pa.timestamp("us", "UTC")), "of": pa.array(["a"]).dictionary_encode()})
    written = io.BytesIO()
    for compression in ("snappy", "gzip", "zstd", "brotli", "lz4"):
        written = io.BytesIO()
        pq.write_table(table, written, compression=compression)
        for batch in pq.ParquetFile(written, pre_buffer=False).iter_batches(use_threads=False):
            _values(batch.column(0), batch.schema.field(0).type)


class Parquet:
    """A Parquet file."""

    def __init__(self, file: Given) -> None:
        """Raises `Unreadable`."""
        if pq is None:
            raise Unreadable("this server reads no Parquet: install pupload with its extra, pupload[parquet]")
        self._limit = file.limit
        self._whole = file.whole
        try:
            self._file = pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER_BYTES, schema_depth_limit=DEPTH)
            self._schema = self._file.schema_arrow
        except MemoryError:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            raise Unreadable(f"it is no Parquet that can be read: {_short(error)}") from error

    @property
    def rows(self) -> int:
        """How many it says that it holds."""
        return int(self._file.metadata.num_rows)

    def chunks(self, *, rows: int | None = None) -> Iterator[Rows]:
        """The rows of the groups that are at hand, `rows` in a chunk. Raises `Unreadable`."""
        fields = list(self._schema)[: tables.MOST_COLUMNS]
        given = tables.Names()
        names = [given.new(field.name) for field in fields]
        size = rows or max(20, min(10_000, CHUNK_CELLS // max(1, len(names))))
        any_yet = False
        try:
            for batch in self._file.iter_batches(batch_size=size, row_groups=self._groups(), use_threads=False):
                any_yet = True
                columns = [_values(batch.column(place), field.type) for place, field in enumerate(fields)]
                yield Rows(columns=list(zip(names, columns, strict=True)), count=batch.num_rows)
        except MemoryError:
            raise
        except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError) as error:
            raise Unreadable(f"it is no Parquet that can be read: {_short(error)}") from error
        if not any_yet:
            yield Rows(columns=[(name, []) for name in names], count=0)

    def cut(self, rows: int) -> bytes | None:
        """A file of its first rows; None where it has no more than these, or not all of them are at hand."""
        left, batches = rows, []
        if self.rows <= rows:
            return None
        try:
            for batch in self._file.iter_batches(batch_size=rows, row_groups=self._groups(), use_threads=False):
                batches.append(batch.slice(0, left))
                left -= batches[-1].num_rows
                if not left:
                    written = io.BytesIO()
                    pq.write_table(pa.Table.from_batches(batches, schema=self._schema), written)
                    return written.getvalue()
        except MemoryError:
            raise
        except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError) as error:
            raise Unreadable(f"it is no Parquet that can be read: {_short(error)}") from error
        return None

    @property
    def whole(self) -> bool:
        """Whether all groups of rows are at hand."""
        return len(self._groups()) == int(self._file.metadata.num_row_groups)

    def _groups(self) -> list[int]:
        metadata, found = self._file.metadata, []
        for place in range(metadata.num_row_groups):
            if not self._whole and self._end(metadata.row_group(place)) > self._limit:
                break
            found.append(place)
        return found

    @staticmethod
    def _end(group: Any) -> int:
        """Where the group's last byte is."""
        ends = [0]
        for place in range(group.num_columns):
            column = group.column(place)
            start = min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset)
            ends.append(start + column.total_compressed_size)
        return int(max(ends))


def _values(column: Any, given: Any) -> list[Any]:
    wanted = _plain(given)
    return list((column if wanted == given else column.cast(wanted, safe=False)).to_pylist())


def _plain(given: Any) -> Any:
    """The type whose values Python has: times to the microsecond, moments in UTC, no codes for texts."""
    kinds = pa.types
    if kinds.is_timestamp(given):
        return pa.timestamp("us", "UTC" if given.tz else None)
    if kinds.is_time64(given):
        return pa.time64("us")
    if kinds.is_duration(given):
        return pa.duration("us")
    if kinds.is_dictionary(given):
        return _plain(given.value_type)
    if isinstance(given, pa.BaseExtensionType):
        return _plain(given.storage_type)
    if kinds.is_struct(given):
        return pa.struct([field.with_type(_plain(field.type)) for field in given])
    if kinds.is_map(given):
        return pa.map_(_plain(given.key_type), _plain(given.item_type))
    if kinds.is_list(given) or kinds.is_fixed_size_list(given):
        return pa.list_(given.value_field.with_type(_plain(given.value_type)))
    if kinds.is_large_list(given):
        return pa.large_list(given.value_field.with_type(_plain(given.value_type)))
    return given


def _short(error: BaseException) -> str:
    return tables.clean(str(error).partition("\n")[0])[:200] or type(error).__name__
