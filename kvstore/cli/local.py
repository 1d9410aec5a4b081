"""local: a cluster of real nodes on this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvstore.cli.options import with_options
from kvstore.cli.printing import Waiting, say, write, write_json, write_line, write_table
from kvstore.cli.session import DEFAULT_ENDPOINTS, Options, Output

if TYPE_CHECKING:
    from kvstore.local import LocalCluster

_FOLLOW_POLL_S: Final = 0.2

app: Final = typer.Typer(help="Run a cluster on this machine.", rich_markup_mode=None)

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="The cluster's folder. [default: kvstore/local in the user's state directory]",
    ),
]
NodeArgument = Annotated[str, typer.Argument(metavar="NODE", show_default=False)]


@app.command()
@with_options
def up(
    options: Options,
    *,
    nodes: Annotated[
        int | None, typer.Option(metavar="N", help="Number of nodes. [default: 3]")
    ] = None,
    partitions: Annotated[
        int | None, typer.Option(metavar="N", help="Number of partitions. [default: 16]")
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(metavar="N", help="Copies of each partition. [default: 3]")
    ] = None,
    base_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            help="Port of n1; n2 has the next one, and so on; 0: any free ports. [default: 7001]",
        ),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Start a cluster, and return when it serves; prints its endpoints.

    A cluster that is there already is started again with the shape it was made with; nodes that
    run go on running.

    \b
    examples:
      kvstore local up
      kvstore local up --nodes 5 --data-dir /tmp/five --base-port 7101
      export KVSTORE_ENDPOINTS=$(kvstore local up --base-port 0)
    """
    from kvstore.local import LocalCluster  # noqa: PLC0415 - not for --help
    from kvstore.local.state import default_folder, has_cluster  # noqa: PLC0415

    folder = data_dir or default_folder()
    if base_port is None and not has_cluster(folder):
        base_port = 7001
    with _waiting() as waiting:
        cluster = LocalCluster(
            nodes,
            partitions=partitions,
            replicas=replicas,
            data_dir=folder,
            base_port=base_port or None,
            progress=waiting,
        )
        started = cluster.up()
    say(f"{', '.join(cluster.node_ids)} {'serve' if started else 'run already'}; data in {folder}")
    if DEFAULT_ENDPOINTS not in cluster.endpoints.split(","):
        say(f"for other commands: export KVSTORE_ENDPOINTS={cluster.endpoints}")
    if options.output is Output.JSON:
        write_json({"endpoints": cluster.endpoints, "nodes": cluster.addresses})
    elif options.output is Output.TABLE:
        write_table(("node", "address"), cluster.addresses.items())
    else:
        write_line(cluster.endpoints)


@app.command()
@with_options
def status(options: Options, data_dir: DataDirOption = None) -> None:
    """Show the nodes' processes: running, paused or down, and whether they serve."""
    cluster = _attach(data_dir)
    columns = ("node", "state", "serving", "address", "pid")
    rows = [(r.node_id, r.state.value, r.serving, r.address, r.pid) for r in cluster.status()]
    if options.output is Output.JSON:
        for row in rows:
            write_json(dict(zip(columns, row, strict=True)))
        return
    cells = [(n, s, "yes" if ok else "no", a, pid or "-") for n, s, ok, a, pid in rows]
    if options.output is Output.TABLE:
        write_table(columns, cells)
    else:
        for node_id, state, serving, address, pid in cells:
            write_line(f"{node_id} {state} serving={serving} address={address} pid={pid}")


@app.command()
def kill(node: NodeArgument, data_dir: DataDirOption = None) -> None:
    """Kill a node with SIGKILL, as a crash would.

    \b
    examples:
      kvstore local kill n2
    """
    _attach(data_dir).kill(node)
    say(f"{node} is down")


@app.command()
def stop(node: NodeArgument, data_dir: DataDirOption = None) -> None:
    """Ask a node to end, with SIGTERM, and wait until it has."""
    _attach(data_dir).stop(node)
    say(f"{node} is down")


@app.command()
def pause(node: NodeArgument, data_dir: DataDirOption = None) -> None:
    """Freeze a node with SIGSTOP: it keeps its connections and answers nothing."""
    _attach(data_dir).pause(node)
    say(f"{node} is paused")


@app.command()
def resume(node: NodeArgument, data_dir: DataDirOption = None) -> None:
    """Let a paused node go on, with SIGCONT."""
    _attach(data_dir).resume(node)
    say(f"{node} goes on")


@app.command()
def start(
    node: NodeArgument,
    rejoin: Annotated[
        bool, typer.Option("--rejoin", help="Its data are gone: it takes its place anew.")
    ] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Start a node that is down; returns when it serves and has caught up with the others."""
    with _waiting() as waiting:
        _attach(data_dir, waiting).start(node, rejoin=rejoin)
    say(f"{node} serves")


@app.command()
def logs(
    node: NodeArgument,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, help="The last N lines.")
    ] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as the node writes, until Ctrl-C.")
    ] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Print the last lines of a node's log."""
    cluster = _attach(data_dir)
    write(cluster.logs(node, lines).encode(errors="replace"))
    if not follow:
        return
    with cluster.log_file(node).open("rb") as file:
        file.seek(0, 2)
        while True:
            sys.stdout.flush()
            time.sleep(_FOLLOW_POLL_S)
            write(file.read())


@app.command()
def down(
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Delete the cluster's data and logs, too.")
    ] = False,
    data_dir: DataDirOption = None,
) -> None:
    """End all nodes. `kvstore local up` starts them again, unless their data was deleted."""
    cluster = _attach(data_dir)
    cluster.down(delete_data=delete_data)
    say("the cluster is down" + ("; its data is deleted" if delete_data else ""))


def _attach(data_dir: Path | None, waiting: Waiting | None = None) -> LocalCluster:
    from kvstore.local import LocalCluster  # noqa: PLC0415 - not for --help
    from kvstore.local.state import default_folder  # noqa: PLC0415

    return LocalCluster.attach(data_dir or default_folder(), progress=waiting)


@contextmanager
def _waiting() -> Iterator[Waiting]:
    waiting = Waiting()
    try:
        yield waiting
    finally:
        waiting.clear()
