"""The commands of the system that networks are made and broken by: `ip` and `iptables`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from kvstore.chaos.system_command import output_of

_TIMEOUT_S: Final = 20.0
_NEEDED: Final = ("ip", "iptables")
_ENDED: Final = ("Z", "X")
"""States in /proc/PID/stat, after the command's name in parentheses."""


def missing() -> str | None:
    """What is missing here for network namespaces, in a clause; None: nothing."""
    if sys.platform != "linux":
        return "they are made by Linux only"
    if os.geteuid() != 0:
        return "only root may make them: run it as root"
    for name in _NEEDED:
        if shutil.which(name) is None:
            return f"there is no {name} command: install it"
    return None


def run(command: Sequence[str]) -> str:
    """What it prints; raises Unavailable, with the command and its last line, when it fails."""
    return output_of(command, _TIMEOUT_S, shown=f"`{' '.join(command)}`", hears_ctrl_c=False)


def entering(namespace: str) -> tuple[str, ...]:
    """What a command line is given to so that it runs in `namespace`, as the same process."""
    return (shutil.which("ip") or "ip", "netns", "exec", namespace)


def routes() -> list[dict[str, Any]]:
    """All IPv4 routes of this machine, whatever their table."""
    return _listed("-4", "route", "show", "table", "all")


def namespaces() -> list[str]:
    """The names of all network namespaces that have one."""
    return [str(each["name"]) for each in _listed("netns", "list")]


def links() -> list[str]:
    """The names of all links of this process's namespace."""
    return [str(each["ifname"]) for each in _listed("link", "show")]


def kill_all_in(namespace: str) -> None:
    """Ends all processes in `namespace` (SIGKILL)."""
    for pid in run(("ip", "netns", "pids", namespace)).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def runs(pid: int) -> bool:
    """Whether there is such a process, and it has not ended: its parent may not have noticed."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in _ENDED


def _listed(*words: str) -> list[dict[str, Any]]:
    """Some versions of `ip` print nothing where there is nothing, and an empty object for what they
    do not tell."""
    found = json.loads(run(("ip", "-j", *words)).strip() or "[]")
    return [each for each in found if each]
