"""On what something was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from kvstore.form import installed_form


def facts(folder: Path) -> dict[str, object]:
    """The machine, the versions, and the file system that `folder` is on."""
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "kernel": platform.release(),
        "file_system": file_system(folder),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "grpcio": version("grpcio"),
        "rocksdict": version("rocksdict"),
        "kvstore": f"{revision()}, {installed_form()}",
    }


def cpu() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def file_system(folder: Path) -> str:
    """The kind of file system that `folder` is on."""
    best, kind = "", "unknown"
    place = str(folder.resolve())
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _device, where, type_, *_ = line.split()
        inside = place == where or place.startswith(where.rstrip("/") + "/")
        if inside and len(where) >= len(best):
            best, kind = where, type_
    return kind


def revision() -> str:
    """The commit that is measured, with "-dirty" where there are changes other than results; or the
    version where there is no repository."""
    here = Path(__file__).parent
    try:
        commit = _git(here, "describe", "--always")
        changes = _git(here, "status", "--porcelain", "--", ":/", ":(exclude)results")
    except (OSError, subprocess.CalledProcessError):
        return version("kvstore")
    return f"{commit}-dirty" if changes else commit


def _git(folder: Path, *words: str) -> str:
    line = ("git", "-C", str(folder), *words)
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()
