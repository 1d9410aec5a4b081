"""restore."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kvstore.cli.backup_file import (
    FileArgument,
    file_record,
    hex_hash,
    mib,
    print_done,
    time_taken,
)
from kvstore.cli.exits import ExitCode
from kvstore.cli.options import with_options
from kvstore.cli.printing import say, write_json
from kvstore.cli.progress import progress
from kvstore.cli.session import Options, Output
from kvstore.errors import ConfigurationError, CorruptionError

if TYPE_CHECKING:
    from cluster.partition.map import ClusterSettings
    from kvstore.backup.contents import Contents
    from kvstore.cli.backup_jobs import Checked
    from kvstore.cli.importer import Importer
    from kvstore.client import AsyncClient


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
    if found is not None and found != checked.contents:
        say(
            f"read back {found.records} records, contents {hex_hash(found.hash)}, and {file} has"
            f" {checked.contents.records}, contents {hex_hash(checked.contents.hash)}: somebody"
            " else writes to the cluster, or this is a bug"
        )
        return ExitCode.NO
    _report(options, file, checked.contents, put, time.monotonic() - started_s, verified=verify)
    return ExitCode.DONE


def _report(
    options: Options, file: Path, contents: Contents, put: int, elapsed_s: float, *, verified: bool
) -> None:
    """Says that the cluster has what is in `file`, `put` records of it by this restore."""
    rate = put / elapsed_s if elapsed_s > 0 else 0.0
    if options.output is Output.JSON:
        write_json(
            {
                "records": contents.records,
                "put": put,
                "seconds": round(elapsed_s, 3),
                "records_per_second": round(rate),
                "contents_hash": hex_hash(contents.hash),
                "verified": verified,
            }
        )
        return
    already = contents.records - put
    there = f", {already} were there already" if already else ""
    same = f"; read back, contents {hex_hash(contents.hash)} as in {file}" if verified else ""
    print_done(
        options,
        f"restored {put} records in {elapsed_s:.1f} s ({rate:,.0f} records/s){there}{same}",
        ("records", "seconds", "records per second"),
        (put, f"{elapsed_s:.2f}", f"{rate:,.0f}"),
    )


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
        record = file_record(file, header, footer)
        write_json({**record, "bytes": checked.bytes, "contents_hash": hex_hash(contents.hash)})
        return ExitCode.DONE
    taken = time_taken(header)
    print_done(
        options,
        f"{file} is whole: {footer.records} records of {header.partitions} partitions of cluster"
        f" {header.cluster_id}, taken {taken}, {mib(checked.bytes)}, contents"
        f" {hex_hash(contents.hash)}",
        ("cluster", "taken", "partitions", "records", "contents"),
        (header.cluster_id, taken, header.partitions, footer.records, hex_hash(contents.hash)),
    )
    return ExitCode.DONE
