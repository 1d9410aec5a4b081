"""explain: where a key goes, who has it, and what a read of it would do now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kvstore.cli.keys import KeyArgument
from kvstore.cli.options import with_options
from kvstore.cli.printing import write_json, write_line, write_table
from kvstore.cli.session import Options, Output
from kvstore.cli.text import from_argument
from kvstore.codec.text import to_cell, to_json

if TYPE_CHECKING:
    from kvstore.cli.explanation import Explanation, Place
    from kvstore.client import AsyncClient, ClusterStatus


@with_options
def explain(
    options: Options,
    key: KeyArgument,
    *,
    token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", help="For the session level: what a session has seen."),
    ] = None,
    max_staleness: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="For the stale level: how old an answer may be."),
    ] = None,
) -> None:
    """Explain where a key goes and how it would be read.

    Its hash and partition, that partition's replicas with what they have applied, and for each
    level of consistency which nodes would answer a read now, and what they would do first. The key
    need not exist, and is not read. Nodes that do not answer within a second are shown as down.

    \b
    examples:
      kvstore explain greeting
      kvstore explain 'user/{42}/name' --output table
      kvstore explain greeting --token "$TOKEN" --max-staleness 5 --output json
    """
    key_bytes = from_argument(key)

    async def look(client: AsyncClient) -> tuple[ClusterStatus, int | None]:
        await client.locate(key_bytes)  # refuses a key that cannot be
        if token is not None:
            await client.merge_token(token)
        return await client.status(), None if token is None else client.index_of(key_bytes)

    _check(max_staleness)
    status, min_index = options.run(look)
    from kvstore.cli.explanation import explain_key  # noqa: PLC0415 - not for --help

    found = explain_key(key_bytes, status, min_index, max_staleness)
    if options.output is Output.JSON:
        write_json(_as_json(found))
    elif options.output is Output.TABLE:
        _write_tables(found)
    else:
        _write_lines(found)


def _check(max_staleness_s: float | None) -> None:
    if max_staleness_s is not None:
        from kvstore.client import Stale  # noqa: PLC0415 - not for --help

        Stale(max_staleness_s)


def _as_json(found: Explanation) -> dict[str, object]:
    place, group = found.place, found.group
    return {
        "key": to_json(place.key),
        "tag": None if place.tag is None else to_json(place.tag),
        "hash": _hex(place.hash),
        "partition": place.partition,
        "partitions": place.partitions,
        "range": {"first": _hex(place.first), "last": _hex(place.last)},
        "leader": group.leader,
        "term": group.term,
        "commit_index": group.commit_index,
        "replicas": [
            {
                "node": each.node,
                "address": each.address,
                "role": each.role,
                "applied_index": each.applied,
                "lag": each.lag,
                "problem": each.problem,
            }
            for each in found.members
        ],
        "reads": {
            each.level: {"asks": list(each.asks), "ready": each.ready, "why": each.why}
            for each in found.reads
        },
    }


def _write_lines(found: Explanation) -> None:
    place, group = found.place, found.group
    write_line(f"key {to_cell(place.key)}: {_route(place)}")
    write_line(
        f"partition {place.partition} of {place.partitions}: hashes {_hex(place.first)} to "
        f"{_hex(place.last)}, leader {group.leader or '-'}, term {_cell(group.term)}, "
        f"committed {_cell(group.commit_index)}"
    )
    for each in found.members:
        problem = f": {each.problem}" if each.problem else ""
        write_line(
            f"replica {each.node} {each.address} {each.role} applied={_cell(each.applied)} "
            f"lag={_cell(each.lag)}{problem}"
        )
    for read in found.reads:
        write_line(f"read {read.level}: {_asks(read.asks)} ({_ready(read.ready)}): {read.why}")


def _write_tables(found: Explanation) -> None:
    place, group = found.place, found.group
    title = (
        f"{to_cell(place.key)}: {_route(place)}, partition {place.partition} of "
        f"{place.partitions}, term {_cell(group.term)}, committed {_cell(group.commit_index)}"
    )
    columns = ("replica", "address", "role", "applied", "lag", "problem")
    rows = [
        (m.node, m.address, m.role, _cell(m.applied), _cell(m.lag), m.problem or "")
        for m in found.members
    ]
    write_table(columns, rows, title)
    reads = [(r.level, _asks(r.asks), _ready(r.ready), r.why) for r in found.reads]
    write_table(("read", "asks", "answered", "why"), reads)


def _route(place: Place) -> str:
    tag = "" if place.tag is None else f"tag {to_cell(place.tag)}, "
    return f"{tag}hash {_hex(place.hash)}"


def _asks(nodes: tuple[str, ...]) -> str:
    return " or ".join(nodes) or "nobody"


def _ready(ready: bool | None) -> str:
    return {True: "now", False: "not now", None: "perhaps"}[ready]


def _hex(number: int) -> str:
    return f"0x{number:016x}"


def _cell(number: int | None) -> str:
    return "-" if number is None else str(number)
