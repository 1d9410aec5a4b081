"""status, locate and health: what the cluster says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvstore.cli.exits import ExitCode
from kvstore.cli.keys import KeyArgument
from kvstore.cli.options import with_options
from kvstore.cli.printing import say, write_json, write_line, write_table
from kvstore.cli.session import DEFAULT_ENDPOINTS, Options, Output
from kvstore.cli.text import from_argument
from kvstore.codec.text import to_cell, to_json

if TYPE_CHECKING:
    from kvstore.client.status import GroupStatus, NodeStatus


@with_options
def locate(options: Options, key: KeyArgument) -> None:
    """Show where a key lives.

    Its partition, the node that leads it, and the nodes that hold it.

    \b
    examples:
      kvstore locate greeting
      kvstore locate greeting --output json
    """
    key_bytes = from_argument(key)
    place = options.run(lambda client: client.locate(key_bytes))
    replicas = list(place.replicas)
    if options.output is Output.JSON:
        write_json(
            {
                "key": to_json(key_bytes),
                "partition": place.partition,
                "leader": place.leader,
                "replicas": replicas,
            }
        )
    elif options.output is Output.TABLE:
        row = (to_cell(key_bytes), place.partition, place.leader or "-", " ".join(replicas))
        write_table(("key", "partition", "leader", "replicas"), [row])
    else:
        write_line(
            f"partition {place.partition}, leader {place.leader or '-'}, "
            f"replicas {' '.join(replicas)}"
        )


@with_options
def status(options: Options) -> None:
    """Show nodes, partitions, leaders and lag.

    Every node is asked; those that do not answer within a second are shown as down. The lag of a
    replica is the number of log entries that it still misses. Milliseconds are the most of late: of
    a write to the commit log, of how late the event loop was, and of a round, in which all that has
    come in is handed on. Scrubs are comparisons of replicas since the node's start, those that
    found a mismatch, and how long ago the last one was; and how often in a row the node gave up
    damaged data and got them anew.

    \b
    examples:
      kvstore status --output table
      kvstore status --output json | jq '.partitions[] | select(.leader == null)'
    """
    found = options.run(lambda client: client.status())
    if options.output is Output.JSON:
        write_json(
            {
                "cluster_id": found.cluster_id,
                "epoch": found.epoch,
                "healthy": found.is_healthy,
                "nodes": [_node(node) for node in found.nodes],
                "meta": _group(found.meta),
                "partitions": [
                    {"partition": number, **_group(group)}
                    for number, group in enumerate(found.partitions)
                ],
            }
        )
        return
    nodes = [_node_cells(node) for node in found.nodes]
    groups = [("meta", *_group_cells(found.meta))]
    groups += [(str(n), *_group_cells(group)) for n, group in enumerate(found.partitions)]
    summary = (
        f"cluster {found.cluster_id}, map epoch {found.epoch}: "
        f"{'healthy' if found.is_healthy else 'not all nodes answer or not all partitions serve'}"
    )
    if options.output is Output.TABLE:
        write_table(_NODE_COLUMNS, nodes, summary)
        write_table(("partition", "leader", "replicas", "applied", "lag"), groups)
        return
    write_line(summary)
    for node in nodes:
        name, address, state, *numbers = node
        pairs = zip(_NODE_FIELDS, numbers, strict=True)
        write_line(f"node {name} {address} {state} {' '.join('='.join(pair) for pair in pairs)}")
    for node_status in found.nodes:
        if node_status.unfit_reason:
            write_line(
                f"note: node {node_status.node_id} should not lead: {node_status.unfit_reason}"
            )
    for name, leader, replicas, applied, lag in groups:
        write_line(
            f"partition {name} leader={leader} replicas={replicas.replace(' ', ',')} "
            f"applied={applied} lag={lag.replace(' ', ',')}"
        )


@with_options
def health(
    options: Options,
    address: Annotated[
        str | None, typer.Argument(metavar="[HOST:PORT]", show_default=False)
    ] = None,
) -> int:
    """Ask one node whether it serves.

    Exit code 3 when it does not. The node at HOST:PORT, else the first of --endpoints. It serves
    when it runs and, as far as it knows, every partition has a leader. For health checks of service
    managers and containers.

    \b
    examples:
      kvstore health 127.0.0.1:7001
    """
    from kvstore.local.health import HealthProbe  # noqa: PLC0415 - not for --help

    asked = address or (options.endpoints or DEFAULT_ENDPOINTS).split(",")[0]
    with HealthProbe() as probe:
        serves = probe.serves(asked, options.timeout_s or 2.0)
    say(f"{asked} {'serves' if serves else 'does not serve'}")
    return ExitCode.DONE if serves else ExitCode.UNAVAILABLE


_NODE_COLUMNS: Final = (
    *("node", "address", "state", "leads", "uptime", "log MiB"),
    *("free MiB", "write ms", "lag ms", "round ms"),
    *("scrubs", "mismatches", "last scrub", "rebuilds"),
)
"""Of late: the slowest write of the commit log, the longest lag of the loop, the longest round."""
_NODE_FIELDS: Final = (
    *("leads", "uptime", "log_mib", "free_mib", "write_ms", "lag_ms", "round_ms"),
    *("scrubs", "mismatches", "last_scrub", "rebuilds"),
)
"""The same but for the first three, where a line is not for people."""


def _node(node: NodeStatus) -> dict[str, object]:
    return {
        "node": node.node_id,
        "address": node.address,
        "reachable": node.is_reachable,
        "problem": node.problem,
        "version": node.version,
        "map_epoch": node.map_epoch,
        "uptime_s": node.uptime_s,
        "leads": node.leads,
        "rounds": node.rounds,
        "log_syncs": node.log_syncs,
        "messages_sent": node.messages_sent,
        "log_bytes": node.log_bytes,
        "short_of_space": node.short_of_space,
        "free_bytes": node.free_bytes,
        "loop_lag_ms_p99": node.loop_lag_ms_p99,
        "loop_lag_ms_max": node.loop_lag_ms_max,
        "round_ms_p99": node.round_ms_p99,
        "round_ms_max": node.round_ms_max,
        "log_write_ms_max": node.log_write_ms_max,
        "unfit_reason": node.unfit_reason,
        "scrubs": node.scrubs,
        "scrub_mismatches": node.scrub_mismatches,
        "scrub_age_s": node.scrub_age_s,
        "scrubbed_replicas": node.scrubbed_replicas,
        "rebuilds": node.rebuilds,
    }


def _group(group: GroupStatus) -> dict[str, object]:
    return {
        "leader": group.leader,
        "replicas": list(group.replicas),
        "term": group.term,
        "commit_index": group.commit_index,
        "applied_index": group.applied_index,
        "lag": None if group.lag is None else dict(group.lag),
    }


def _node_cells(node: NodeStatus) -> tuple[str, ...]:
    if not node.is_reachable:
        return (node.node_id, node.address, "down", *("-" * len(_NODE_FIELDS)))
    return (
        node.node_id,
        node.address,
        "full" if node.short_of_space else "up",
        str(node.leads),
        f"{node.uptime_s or 0:.0f}s",
        f"{(node.log_bytes or 0) / (1 << 20):.0f}",
        f"{(node.free_bytes or 0) / (1 << 20):.0f}",
        f"{node.log_write_ms_max or 0:.0f}",
        f"{node.loop_lag_ms_max or 0:.0f}",
        f"{node.round_ms_max or 0:.0f}",
        str(node.scrubs),
        str(node.scrub_mismatches),
        "-" if node.scrub_age_s is None else f"{node.scrub_age_s:.0f}s",
        str(node.rebuilds),
    )


def _group_cells(group: GroupStatus) -> tuple[str, ...]:
    lag = "-" if group.lag is None else " ".join(f"{n}:{count}" for n, count in group.lag.items())
    applied = "-" if group.applied_index is None else str(group.applied_index)
    return (group.leader or "-", " ".join(group.replicas), applied, lag or "-")
