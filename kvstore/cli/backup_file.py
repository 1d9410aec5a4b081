"""How a backup file is shown: what backup and restore have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kvstore.cli.printing import write_line, write_table
from kvstore.cli.session import Options, Output

if TYPE_CHECKING:
    from kvstore.backup.file_format import Footer, Header

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]


def print_done(
    options: Options, line: str, columns: tuple[str, ...], row: tuple[object, ...]
) -> None:
    """Says what was done: `line`, or a table of one `row`."""
    if options.output is Output.TABLE:
        write_table(columns, [row])
    else:
        write_line(line)


def file_record(file: Path, header: Header, footer: Footer) -> dict[str, object]:
    """What a backup file says of itself, for JSON."""
    return {
        "file": str(file),
        "cluster_id": header.cluster_id,
        "written_by": header.written_by,
        "taken": time_taken(header),
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
        "file_hash": hex_hash(footer.file_hash),
    }


def time_taken(header: Header) -> str:
    """When the backup was taken."""
    try:
        taken = datetime.fromtimestamp(header.taken_ms / 1000, UTC)
    except (OverflowError, ValueError):
        return f"{header.taken_ms} ms after 1970"
    return taken.isoformat(timespec="seconds")


def hex_hash(number: int) -> str:
    """A hash as it is always shown."""
    return f"{number:016x}"


def mib(size: int) -> str:
    """So many bytes, in MiB."""
    return f"{size / (1 << 20):.1f} MiB"
