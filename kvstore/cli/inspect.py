"""inspect: what a stopped node's data directory holds, and what is damaged in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvstore.cli.exits import ExitCode
from kvstore.cli.options import with_options
from kvstore.cli.printing import say, write_json, write_line, write_table
from kvstore.cli.session import Options, Output
from kvstore.errors import ConfigurationError

if TYPE_CHECKING:
    from cluster.ids import GroupId
    from kvstore.cli.log_entries import EntryText
    from kvstore.cli.stopped_node import GroupSurvey, NodeSurvey, StoppedNode
    from kvstore.commitlog.survey import Finding, SurveyedSegment

_ROWS_A_TABLE: Final = 1000
"""A table is held in memory before it is drawn."""
_META: Final = "meta"


@with_options
def inspect(
    options: Options,
    directory: Annotated[Path, typer.Argument(metavar="DIR", show_default=False)],
    entries: Annotated[
        str | None,
        typer.Option(
            metavar="GROUP",
            help="List the log entries of a group instead: of a partition by its number, or meta.",
        ),
    ] = None,
) -> int:
    """Look into the data directory of a node that does not run.

    Whose data it is, what the commit log and the engine hold of each group, and what is damaged
    where. Nothing is changed; a torn end of the log (an unfinished last write, which a start would
    cut) stays as it is. Refused while a node runs on the directory.

    Exit code 1 when damage is found: a node would refuse to start on it.

    \b
    examples:
      kvstore inspect /var/lib/kvstore
      kvstore inspect /var/lib/kvstore --entries meta
      kvstore inspect /var/lib/kvstore --entries 3 --output json | jq 'select(.term > 7)'
    """
    from kvstore.cli.stopped_node import StoppedNode  # noqa: PLC0415 - not for --help

    group = None if entries is None else _group(entries)
    with closing(StoppedNode(str(directory))) as node:
        survey = node.survey(group)
        node.check_unused()
        if group is None:
            _print(options.output, survey)
        elif not _print_entries(options.output, node, survey, group):
            return ExitCode.NO
    return ExitCode.NO if survey.is_damaged else ExitCode.DONE


def _group(name: str) -> GroupId:
    """The group that the user names; raises ConfigurationError."""
    from cluster.ids import META_GROUP, PartitionId, group_of  # noqa: PLC0415

    if name == _META:
        return META_GROUP
    if not (name.isascii() and name.isdigit()):
        raise ConfigurationError(f"group {name!r} is neither a partition's number nor {_META}")
    return group_of(PartitionId(int(name)))


def _name(group: GroupId) -> str:
    return str(group - 1) if group else _META


# Everything


def _print(output: Output | None, survey: NodeSurvey) -> None:
    if output is Output.JSON:
        write_json(_as_json(survey))
        return
    groups = [_group_cells(group) for group in survey.groups.values()]
    segments = [_segment_cells(segment) for segment in survey.log.segments]
    write_line(_identity_text(survey))
    log = survey.log
    write_line(
        f"commit log format {_log_format()}: {len(log.segments)} segments, {log.spares} spare, "
        f"{log.bytes_on_disk / (1 << 20):.1f} MiB"
    )
    if output is Output.TABLE:
        write_table(_SEGMENT_COLUMNS, segments)
        write_table(_GROUP_COLUMNS, groups)
    else:
        for name, state, *cells in segments:
            write_line(f"segment {name} {state} {_pairs(_SEGMENT_COLUMNS[2:], cells)}")
        for name, *cells in groups:
            write_line(f"group {name} {_pairs(_GROUP_COLUMNS[1:], cells)}")
    for finding in survey.findings:
        write_line(
            f"{'damaged' if finding.is_damage else 'torn'} {finding.file}, "
            f"byte {finding.byte}: {finding.problem}"
        )
        write_line(f"  {_meaning(finding)}")
    for note in survey.notes:
        write_line(f"note: {note}")


_SEGMENT_COLUMNS: Final = ("segment", "state", "size", "used", "batches", "records")
_GROUP_COLUMNS: Final = ("group", "term", "vote", "commit", "first", "last", "applied", "records")


def _pairs(names: Iterable[str], cells: Iterable[str]) -> str:
    return " ".join(f"{name}={cell}" for name, cell in zip(names, cells, strict=True))


def _identity_text(survey: NodeSurvey) -> str:
    identity = survey.identity
    if identity is None:
        return f"{survey.path}: whose data this is cannot be told"
    member = (
        "not yet a member of a cluster"
        if identity.replica_id is None
        else f"replica {identity.replica_id} of cluster {identity.cluster_id}"
    )
    return f"{survey.path}: node {identity.node_id}, {member}, format {_directory_format()}"


def _segment_cells(segment: SurveyedSegment) -> tuple[str, ...]:
    first, last = segment.first_batch, segment.last_batch
    batches = "-" if first is None or last is None else f"{first}-{last}"
    sizes = (str(segment.size), str(segment.used), batches, str(segment.records))
    return (segment.file, segment.state, *sizes)


def _group_cells(group: GroupSurvey) -> tuple[str, ...]:
    state = group.hard_state
    numbers = (state.term, state.vote, state.commit, group.first_index)
    last = group.last_index if group.first_index is not None else None
    cells = (*numbers, last, group.applied_index, group.records)
    return (_name(group.group), *("-" if cell is None else str(cell) for cell in cells))


def _meaning(finding: Finding) -> str:
    if finding.is_damage:
        return (
            "A node does not start on this. Its replicas have to be rebuilt from their peers; keep"
            " the directory until they are."
        )
    return "Harmless: a node cuts it when it starts. Nobody was told that it was written."


def _as_json(survey: NodeSurvey) -> dict[str, object]:
    identity = survey.identity
    return {
        "directory": survey.path,
        "format": _directory_format(),
        "node": None if identity is None else identity.node_id,
        "cluster_id": None if identity is None else identity.cluster_id,
        "replica_id": None if identity is None else identity.replica_id,
        "damaged": survey.is_damaged,
        "log": {
            "format": _log_format(),
            "bytes": survey.log.bytes_on_disk,
            "spares": survey.log.spares,
            "segments": [_segment_json(segment) for segment in survey.log.segments],
        },
        "groups": [_group_json(group) for group in survey.groups.values()],
        "findings": [
            {
                "file": finding.file,
                "byte": finding.byte,
                "damage": finding.is_damage,
                "problem": finding.problem,
                "meaning": _meaning(finding),
            }
            for finding in survey.findings
        ],
        "notes": survey.notes,
    }


def _segment_json(segment: SurveyedSegment) -> dict[str, object]:
    return {
        "segment": segment.segment,
        "file": segment.file,
        "state": segment.state,
        "size": segment.size,
        "used": segment.used,
        "first_batch": segment.first_batch,
        "last_batch": segment.last_batch,
        "records": segment.records,
        "recycled": segment.is_recycled,
    }


def _group_json(group: GroupSurvey) -> dict[str, object]:
    return {
        "group": _name(group.group),
        "term": group.hard_state.term,
        "vote": group.hard_state.vote,
        "commit_index": group.hard_state.commit,
        "first_index": group.first_index,
        "last_index": group.last_index if group.first_index is not None else None,
        "applied_index": group.applied_index,
        "records": group.records,
        "other_records": {str(kind): n for kind, n in sorted(group.other_kinds.items())},
    }


def _directory_format() -> int:
    from kvstore.identity import FORMAT  # noqa: PLC0415

    return FORMAT


def _log_format() -> int:
    from kvstore.commitlog.log_format import FORMAT_VERSION  # noqa: PLC0415

    return FORMAT_VERSION


# The entries of a group


def _print_entries(
    output: Output | None, node: StoppedNode, survey: NodeSurvey, group: GroupId
) -> bool:
    """Prints them as they are read, and says whether there are any."""
    from kvstore.cli.log_entries import entry_json, entry_text  # noqa: PLC0415

    if survey.is_damaged:
        say(f"damage was found: see kvstore inspect {survey.path}")
    known = survey.groups.get(group)
    if known is None or known.first_index is None:
        say(f"the log has no entries of group {_name(group)}")
        return False
    if output is Output.JSON:
        for entry in node.entries():
            write_json(entry_json(entry, group))
        return True
    rows = (entry_text(entry, group) for entry in node.entries())
    if output is Output.TABLE:
        for some in _some(rows):
            write_table(("index", "term", "kind", "bytes", "what"), some)
    else:
        for row in rows:
            write_line("\t".join(map(str, row)))
    return True


def _some(rows: Iterator[EntryText]) -> Iterator[list[EntryText]]:
    while some := list(islice(rows, _ROWS_A_TABLE)):
        yield some
