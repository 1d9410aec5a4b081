"""`kvstore serve`: the settings from the command line, then the node.

Parsed by argparse from the fields of NodeSettings, so that a node's process never loads what only
the other commands need, and no setting is described twice.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from kvstore.cli.loading import uncollected, without_rich
from kvstore.config import NodeSettings, load_settings
from kvstore.errors import ConfigurationError

_METAVARS: Final = {
    "node_id": "ID",
    "listen": "HOST:PORT",
    "data_dir": "DIR",
    "initial_nodes": "ID=HOST:PORT,…",
    "peer_via": "ID=HOST:PORT,…",
    "rejoin": "true|false",
    "log_level": "debug|info|warning|error",
    "log_json": "true|false",
}
# Two settings that only make sense together are one flag.
_ELECTION: Final = ("election_timeout_ms_min", "election_timeout_ms_max")
_HIDDEN: Final = frozenset({"clock_file"})
"""Set by `kvstore chaos` for nodes of its own, and of no use to anybody else."""
_EXAMPLES: Final = """\
Each option can also be set in the environment (--heartbeat-ms: KVSTORE_HEARTBEAT_MS) and in the
TOML file (heartbeat_ms = 100); a flag wins over the environment, the environment over the file.
The two ends of --election-timeout-ms are election_timeout_ms_min and election_timeout_ms_max there.

examples:
  kvstore serve --node-id n1 --listen 10.0.0.1:7001 --data-dir /var/lib/kvstore \\
      --initial-nodes n1=10.0.0.1:7001,n2=10.0.0.2:7001,n3=10.0.0.3:7001
  kvstore serve --config /etc/kvstore.toml
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message} (see kvstore serve --help)")


def serve(arguments: Sequence[str]) -> int:
    """Runs a node until it is asked to end; the process's exit code. Raises ConfigurationError."""
    settings = settings_from(arguments)
    with uncollected(), without_rich():
        from kvstore import process  # noqa: PLC0415 - wrong settings are said before it is loaded

    return process.run(settings)


def settings_from(arguments: Sequence[str]) -> NodeSettings:
    """The settings that the command line, the environment and the file it names give."""
    given = vars(parser().parse_args(arguments))
    flags = {name: value for name, value in given.items() if value is not None}
    config: str | None = flags.pop("config", os.environ.get("KVSTORE_CONFIG") or None)
    pair: str | None = flags.pop("election_timeout_ms", None)
    if pair is not None:
        least, separator, most = pair.partition("-")
        if not separator:
            raise ConfigurationError(f"election-timeout-ms is {pair!r}; it must be MIN-MAX")
        flags.update(zip(_ELECTION, (least, most), strict=True))
    return load_settings(flags, None if config is None else Path(config))


def parser() -> argparse.ArgumentParser:
    """The parser of `kvstore serve`, from the fields of NodeSettings."""
    built = _Parser(
        prog="kvstore serve",
        description="Run one node of a cluster, until SIGTERM or SIGINT.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    built.add_argument("--config", metavar="FILE", help="TOML file with the options below.")
    for name, field in NodeSettings.model_fields.items():
        described = (field.description or "").replace("%", "%%")
        default = "" if field.is_required() else f" Default: {_shown(field.default)}."
        if name == _ELECTION[0]:
            fields = NodeSettings.model_fields
            ends = "-".join(str(fields[end].default) for end in _ELECTION)
            built.add_argument(
                "--election-timeout-ms",
                metavar="MIN-MAX",
                help="Silence of a leader after which others stand for election; each waits a "
                f"random time between the two. Default: {ends}.",
            )
        elif name not in _ELECTION:
            is_switch = field.annotation is bool
            built.add_argument(
                f"--{name.replace('_', '-')}",
                dest=name,
                metavar=_METAVARS.get(name, "N"),
                nargs="?" if is_switch else None,
                const="true" if is_switch else None,
                help=argparse.SUPPRESS if name in _HIDDEN else described + default,
            )
    return built


def _shown(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)
