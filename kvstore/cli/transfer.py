"""import and export."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kvstore.cli.options import with_options
from kvstore.cli.printing import say, write_json, write_line, write_table
from kvstore.cli.progress import progress
from kvstore.cli.session import Options, Output
from kvstore.cli.text import from_argument
from kvstore.errors import KVStoreError

if TYPE_CHECKING:
    from kvstore.client import AsyncClient

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]


@with_options
def import_file(options: Options, file: FileArgument) -> None:
    """Put all records of a file.

    The file is .jsonl, .jsonl.gz or .jsonl.xz. Each line is {"key": …, "value": …}; both are
    strings, or {"base64": "…"} for bytes that are not UTF-8. Where a key stands on several lines,
    the last one stays.

    A put whose outcome is unknown, because a node went away while it was under way, is made again:
    it puts the same value, which changes nothing unless somebody else writes the same keys during
    the import. A line that is no record ends the import with exit code 2 and its number; what
    stands before it has been put.

    \b
    examples:
      kvstore import users.jsonl
      kvstore import packages.jsonl.xz --timeout 30
    """
    from kvstore.cli.importer import Importer  # noqa: PLC0415 - not for --help
    from kvstore.cli.rows import RowReader  # noqa: PLC0415

    started_s = time.monotonic()
    with RowReader(file) as reader, progress(reader.size_bytes) as advance:
        importer = Importer(reader, advance)
        try:
            options.run(importer.run)
        except KVStoreError:
            say(f"{importer.done} records had been put when the import ended")
            raise
    _report(options, "imported", importer.done, time.monotonic() - started_s)


@with_options
def export_file(
    options: Options,
    file: FileArgument,
    prefix: Annotated[str, typer.Option(metavar="P", help="Only keys that begin with P.")] = "",
) -> None:
    """Write all records to a file.

    The file is .jsonl, .jsonl.gz or .jsonl.xz, as import reads them. In the order
    of the keys' bytes. The file appears, or replaces an older one, when it is
    complete. Like a scan, it is no snapshot: what changes meanwhile is seen before or after.

    \b
    examples:
      kvstore export everything.jsonl.xz
      kvstore export users.jsonl --prefix user/
    """
    from kvstore.cli.rows import RowWriter  # noqa: PLC0415

    started_s = time.monotonic()
    count = 0
    with RowWriter(file) as writer, progress(None) as advance:

        async def work(client: AsyncClient) -> None:
            nonlocal count
            async for key, value in client.scan(prefix=from_argument(prefix)):
                writer.write(key, value)
                count += 1
                advance(0, count)

        options.run(work)
    _report(options, "exported", count, time.monotonic() - started_s)


def _report(options: Options, what: str, count: int, elapsed_s: float) -> None:
    rate = count / elapsed_s if elapsed_s > 0 else 0.0
    if options.output is Output.JSON:
        write_json(
            {"records": count, "seconds": round(elapsed_s, 3), "records_per_second": round(rate)}
        )
    elif options.output is Output.TABLE:
        columns = ("records", "seconds", "records per second")
        write_table(columns, [(count, f"{elapsed_s:.2f}", f"{rate:,.0f}")])
    else:
        write_line(f"{what} {count} records in {elapsed_s:.1f} s ({rate:,.0f} records/s)")
