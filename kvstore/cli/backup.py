"""backup."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated

import typer

from kvstore.cli.backup_file import FileArgument, file_record, mib, print_done
from kvstore.cli.options import with_options
from kvstore.cli.printing import say, write_json
from kvstore.cli.progress import progress
from kvstore.cli.session import Options, Output
from kvstore.errors import KVStoreError

if TYPE_CHECKING:
    from kvstore.backup.file_format import Footer, Header
    from kvstore.backup.writer import BackupWriter
    from kvstore.client import AsyncClient


@with_options
def backup(
    options: Options,
    file: FileArgument,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    compress: Annotated[
        bool, typer.Option("--compress", help="Compress with zlib: smaller, and slower.")
    ] = False,
) -> None:
    """Write all data of a running cluster to a file.

    The cluster goes on serving. Each partition is written as it is at one moment, with every write
    that was acknowledged before the backup began; different partitions are of different moments.
    A partition whose node goes away meanwhile is begun anew from another replica.

    The file is written as FILE.partial and takes its name when it is complete, checked and synced.
    An existing FILE is not touched without --force.

    \b
    examples:
      kvstore backup monday.backup
      kvstore backup monday.backup --compress && kvstore restore --check monday.backup
      kvstore backup latest.backup --force --output json
    """
    from kvstore.backup.writer import BackupWriter  # noqa: PLC0415 - not for --help

    started_s = time.monotonic()
    try:
        with BackupWriter(file, replace=force, compress=compress) as writer:
            header, footer = options.run(lambda client: _take(client, writer))
            size = writer.bytes
    except (KVStoreError, KeyboardInterrupt):
        say(f"nothing was written to {file}")
        raise
    elapsed_s = time.monotonic() - started_s
    if options.output is Output.JSON:
        write_json(
            {
                **file_record(file, header, footer),
                "bytes": size,
                "seconds": round(elapsed_s, 3),
            }
        )
        return
    rate = size / (1 << 20) / elapsed_s if elapsed_s > 0 else 0.0
    print_done(
        options,
        f"backed up {footer.records} records, {mib(size)}, in {elapsed_s:.1f} s ({rate:.1f} MiB/s)",
        ("records", "MiB", "seconds"),
        (footer.records, f"{size / (1 << 20):.1f}", f"{elapsed_s:.2f}"),
    )


async def _take(client: AsyncClient, writer: BackupWriter) -> tuple[Header, Footer]:
    from kvstore.cli.backup_jobs import header_of, take  # noqa: PLC0415

    def on_broken_off(partition: int, reason: str) -> None:
        say(f"partition {partition} broke off and is begun anew: {reason}")

    header = header_of(
        await client.cluster_map(),
        written_by=version("kvstore"),
        taken_ms=time.time_ns() // 1_000_000,
    )
    with progress(header.partitions, lines="backing up") as advance:
        return header, await take(client, writer, header, advance, on_broken_off)
