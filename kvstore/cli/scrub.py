"""scrub: compares the replicas of partitions, now."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.ids import META_GROUP, partition_of
from kvstore.cli.exits import ExitCode
from kvstore.cli.options import with_options
from kvstore.cli.printing import write_json, write_line, write_table
from kvstore.cli.session import Options, Output

if TYPE_CHECKING:
    from kvstore.client import GroupScrub, ReplicaScrub


@with_options
def scrub(
    options: Options,
    partitions: Annotated[
        list[int] | None,
        typer.Option(
            "--partition", metavar="N", min=0, help="Only this one; may be given several times."
        ),
    ] = None,
) -> int:
    """Compare the replicas of every partition.

    All replicas of a partition read what they hold as of the same log entry, faster than they do in
    the background, and compare hashes of all of it. A replica that differs from a majority, or
    cannot read its data, is named; its node stops, so that nothing damaged is served. --timeout
    bounds how long a partition may be without a leader, not how long it is read.

    Exit code 0 only when all replicas agree; 1 when some differ; 3 when some did not answer.

    \b
    examples:
      kvstore scrub
      kvstore scrub --partition 3 --partition 4 --output table
      kvstore scrub --output json | jq '.partitions[] | select(.verdict != "agreed")'
    """
    with _progress() as progress:
        found = options.run(lambda client: client.scrub(partitions or None, progress=progress))
    _print(options, found)
    verdicts = {str(each.verdict) for each in found}
    if verdicts & {"diverged", "undecided"}:
        return ExitCode.NO
    return ExitCode.DONE if verdicts <= {"agreed"} else ExitCode.UNAVAILABLE


def _print(options: Options, found: Sequence[GroupScrub]) -> None:
    agreed = sum(each.verdict == "agreed" for each in found)
    if options.output is Output.JSON:
        write_json({"agreed": agreed == len(found), "partitions": [_json(each) for each in found]})
    elif options.output is Output.TABLE:
        summary = f"{agreed} of {len(found)} partitions: all replicas agree"
        write_table(("partition", "index", "replicas", "verdict"), map(_cells, found), summary)
    else:
        for each in found:
            name, index, replicas, verdict = _cells(each)
            write_line(f"partition {name} index={index} {replicas} {verdict}")


def _cells(each: GroupScrub) -> tuple[str, str, str, str]:
    replicas = " ".join(f"{_name(replica)}={replica.finding}" for replica in each.replicas)
    verdict = f"{each.verdict}: {each.problem}" if each.problem else str(each.verdict)
    index = "-" if each.index is None else str(each.index)
    return (str(_partition(each)), index, replicas or "-", verdict)


def _json(each: GroupScrub) -> dict[str, object]:
    return {
        "partition": _partition(each),
        "index": each.index,
        "verdict": str(each.verdict),
        "problem": each.problem or None,
        "replicas": [
            {
                "node": replica.node,
                "replica": replica.replica,
                "finding": str(replica.finding),
                "hash": None if replica.hash is None else f"{replica.hash:016x}",
            }
            for replica in each.replicas
        ],
    }


def _partition(each: GroupScrub) -> int | str:
    return "meta" if each.group == META_GROUP else partition_of(each.group)


def _name(replica: ReplicaScrub) -> str:
    return replica.node or f"replica {replica.replica}"


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error when somebody watches."""
    if not sys.stderr.isatty():
        yield lambda _done, _of: None
        return
    from rich.console import Console  # noqa: PLC0415 - only for people
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("partitions"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)
