"""leaders: who should lead."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvstore.cli.exits import ExitCode
from kvstore.cli.options import with_options
from kvstore.cli.printing import say, write_json, write_line, write_table
from kvstore.cli.session import Options, Output

if TYPE_CHECKING:
    from kvstore.client import LeaderPlacement

app: Final = typer.Typer(help="Say who should lead partitions.", rich_markup_mode=None)


@app.command()
@with_options
def gather(
    options: Options,
    node: Annotated[str, typer.Argument(metavar="NODE", show_default=False)],
) -> int:
    """Have one node lead all partitions that it holds, until they are spread again.

    It stands in the cluster map, and lasts over restarts. Others lead while the node cannot. Waits
    until the leaders have followed, --timeout at most; exit code 3 when some have not by then: they
    do so later.

    \b
    examples:
      kvstore leaders gather n1
    """
    return _report(options, options.run(lambda client: client.gather_leaders(node)))


@app.command()
@with_options
def spread(options: Options) -> int:
    """Have all nodes lead as evenly many partitions as can be: so it is in the beginning.

    \b
    examples:
      kvstore leaders spread
      kvstore leaders spread --output table
    """
    return _report(options, options.run(lambda client: client.spread_leaders()))


def _report(options: Options, found: LeaderPlacement) -> int:
    led = Counter(leader for leader in found.leaders if leader is not None)
    preferred = Counter(found.preferred)
    rows = [(node, led[node], preferred[node]) for node in sorted(preferred | led)]
    if options.output is Output.JSON:
        write_json(
            {
                "settled": not found.unsettled,
                "nodes": {node: {"leads": now, "preferred": meant} for node, now, meant in rows},
                "unsettled": list(found.unsettled),
            }
        )
    elif options.output is Output.TABLE:
        write_table(("node", "leads", "preferred"), rows)
    else:
        for node, now, meant in rows:
            write_line(f"node {node} leads={now} preferred={meant}")
    if not found.unsettled:
        return ExitCode.DONE
    say(f"{len(found.unsettled)} partitions have not followed yet; they will")
    return ExitCode.UNAVAILABLE
