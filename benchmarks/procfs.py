"""What the system says of processes and folders (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process so far, in user and kernel mode."""
    # The command's name stands in parentheses and may hold anything: fields count from behind it,
    # the first there is the third. Of interest are the fourteenth and fifteenth.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def cpu_seconds_of(pids: Iterable[int]) -> float:
    """The same of several together."""
    return sum(map(cpu_seconds, pids))


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.split()[0]) * 1024
    raise LookupError(f"process {pid} has no memory: it has ended")


def open_files(pid: int) -> int:
    """File descriptors that a process holds."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def usage(folder: Path) -> tuple[int, int]:
    """Files below `folder`, and the bytes that they take on the disk."""
    files = taken = 0
    for path, _folders, names in os.walk(folder):
        for name in names:
            try:
                taken += (Path(path) / name).stat().st_blocks * 512
            except FileNotFoundError:  # deleted meanwhile
                continue
            files += 1
    return files, taken
