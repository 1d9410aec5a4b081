"""backup and restore."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kvstore.cli.exits import ExitCode
from kvstore.cli.options import with_options
from kvstore.cli.printing import say, write_json, write_line, write_table
from kvstore.cli.progress import progress
from kvstore.cli.session import Options, Output
from kvstore.errors import ConfigurationError, CorruptionError, KVStoreError

if TYPE_CHECKING:
    from cluster.partition.map import ClusterSettings
    from kvstore.backup.contents import Contents
    from kvstore.backup.file_format import Footer, Header
    from kvstore.backup.writer import BackupWriter
    from kvstore.cli.backup_jobs import Checked
    from kvstore.cli.importer import Importer
    from kvstore.client import AsyncClient

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]


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
                **_file_json(file, header, footer),
                "bytes": size,
                "seconds": round(elapsed_s, 3),
            }
        )
        return
    rate = size / (1 << 20) / elapsed_s if elapsed_s > 0 else 0.0
    _print(
        options,
        f"backed up {footer.records} records, {_mib(size)}, in {elapsed_s:.1f} s"
        f" ({rate:.1f} MiB/s)",
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


@with_options
def restore(
    options: Options,
    file: FileArgument,
    check: Annotated[
        bool, typer.Option("--check", help="Only check FILE; no cluster is needed.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after a restore of FILE that did not end.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything back at the end and compare.")
    ] = False,
) -> int:
    """Load a backup into an empty cluster.

    The cluster may have any number of nodes and partitions. FILE is checked from end to end before
    anything is written, and so is that the cluster is empty and takes keys and values as large as
    those of FILE. Versions and revisions begin anew.

    Nobody else should write meanwhile. A restore that is interrupted leaves a part: --resume goes
    on where it ended, after making sure that the cluster holds nothing but a part of FILE.

    With --check, exit code 1 when FILE is damaged.

    \b
    examples:
      kvstore restore --check monday.backup
      kvstore restore monday.backup --verify
      kvstore restore monday.backup --resume
    """
    from kvstore.backup.reader import BackupReader  # noqa: PLC0415 - not for --help

    if check:
        if resume or verify:
            raise ConfigurationError("--check writes nothing: it goes with neither of the others")
        return _check_only(options, file)
    started_s = time.monotonic()
    with BackupReader.open(file):
        pass  # a file that is none is refused before anybody is asked
    settings = options.run(lambda client: _prepare(client, resume))
    checked = _checked(file, settings)
    put, found = options.run(
        lambda client: _load(client, file, checked, resume=resume, verify=verify)
    )
    elapsed_s = time.monotonic() - started_s
    if found is not None and found != checked.contents:
        say(
            f"read back {found.records} records, contents {_hex(found.hash)}, and {file} has"
            f" {checked.contents.records}, contents {_hex(checked.contents.hash)}: somebody else"
            " writes to the cluster, or this is a bug"
        )
        return ExitCode.NO
    rate = put / elapsed_s if elapsed_s > 0 else 0.0
    if options.output is Output.JSON:
        write_json(
            {
                "records": checked.contents.records,
                "put": put,
                "seconds": round(elapsed_s, 3),
                "records_per_second": round(rate),
                "contents_hash": _hex(checked.contents.hash),
                "verified": verify,
            }
        )
        return ExitCode.DONE
    already = checked.contents.records - put
    there = f", {already} were there already" if already else ""
    same = f"; read back, contents {_hex(checked.contents.hash)} as in {file}" if verify else ""
    _print(
        options,
        f"restored {put} records in {elapsed_s:.1f} s ({rate:,.0f} records/s){there}{same}",
        ("records", "seconds", "records per second"),
        (put, f"{elapsed_s:.2f}", f"{rate:,.0f}"),
    )
    return ExitCode.DONE


async def _prepare(client: AsyncClient, resume: bool) -> ClusterSettings:
    """The settings of the cluster, once it is known to be one that may be restored into."""
    from kvstore.cli.backup_jobs import refuse_non_empty  # noqa: PLC0415

    settings = (await client.cluster_map()).settings
    if not resume:
        await refuse_non_empty(client)
    return settings


async def _load(
    client: AsyncClient, file: Path, checked: Checked, *, resume: bool, verify: bool
) -> tuple[int, Contents | None]:
    """Puts what is missing. Says how many records that were and, where it is to be verified, what
    the cluster holds."""
    from kvstore.backup.reader import BackupReader  # noqa: PLC0415
    from kvstore.cli import backup_jobs as jobs  # noqa: PLC0415
    from kvstore.cli.importer import Importer  # noqa: PLC0415

    size = checked.bytes
    present: frozenset[int] = frozenset()
    if resume:
        with progress(size, lines="comparing") as advance:
            present = await jobs.chunks_present(client, file, advance)
    else:
        # Once more: checking the file may have taken long.
        await jobs.refuse_non_empty(client)
    with BackupReader.open(file) as reader, progress(size, lines="restoring") as advance:
        importer = Importer(jobs.BackupRows(reader, present), advance)
        with _saying_what_is_left(file, importer):
            await importer.run(client)
    found = None
    if verify:
        with progress(None, lines="reading back") as advance:
            found = await jobs.read_back(client, advance)
    return importer.done, found


@contextmanager
def _saying_what_is_left(file: Path, importer: Importer) -> Iterator[None]:
    try:
        yield
    except BaseException:
        say(
            f"{importer.done} records had been put when the restore ended: to go on, kvstore"
            f" restore --resume {file}"
        )
        raise


def _checked(file: Path, settings: ClusterSettings | None = None) -> Checked:
    from kvstore.cli.backup_jobs import check  # noqa: PLC0415

    with progress(file.stat().st_size, lines="checking") as advance:
        return check(file, advance, settings)


def _check_only(options: Options, file: Path) -> int:
    try:
        checked = _checked(file)
    except CorruptionError as problem:
        say(str(problem))
        return ExitCode.NO
    header, footer, contents = checked.header, checked.footer, checked.contents
    if options.output is Output.JSON:
        record = _file_json(file, header, footer)
        write_json({**record, "bytes": checked.bytes, "contents_hash": _hex(contents.hash)})
        return ExitCode.DONE
    taken = _time(header)
    _print(
        options,
        f"{file} is whole: {footer.records} records of {header.partitions} partitions of cluster"
        f" {header.cluster_id}, taken {taken}, {_mib(checked.bytes)}, contents"
        f" {_hex(contents.hash)}",
        ("cluster", "taken", "partitions", "records", "contents"),
        (header.cluster_id, taken, header.partitions, footer.records, _hex(contents.hash)),
    )
    return ExitCode.DONE


def _print(options: Options, line: str, columns: tuple[str, ...], row: tuple[object, ...]) -> None:
    if options.output is Output.TABLE:
        write_table(columns, [row])
    else:
        write_line(line)


def _file_json(file: Path, header: Header, footer: Footer) -> dict[str, object]:
    return {
        "file": str(file),
        "cluster_id": header.cluster_id,
        "written_by": header.written_by,
        "taken": _time(header),
        "records": footer.records,
        "partitions": [
            {
                "partition": section.start.partition,
                "applied_index": section.start.applied_index,
                "revision": section.start.revision,
                "records": section.end.records,
            }
            for section in footer.sections
        ],
        "file_hash": _hex(footer.file_hash),
    }


def _time(header: Header) -> str:
    try:
        taken = datetime.fromtimestamp(header.taken_ms / 1000, UTC)
    except (OverflowError, ValueError):
        return f"{header.taken_ms} ms after 1970"
    return taken.isoformat(timespec="seconds")


def _hex(number: int) -> str:
    return f"{number:016x}"


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
