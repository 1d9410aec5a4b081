"""Builds the load generator for etcd, with the client library that Debian packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

_LIBRARY: Final = Path("/usr/share/gocode")
_SOURCE: Final = Path(__file__).with_name("load.go")
BUILD: Final = Path(__file__).parents[1] / ".build"
"""Ignored by the repository."""


def missing_packages() -> list[str]:
    """The Debian packages that are needed and not there."""
    needs = {
        "etcd-server": shutil.which("etcd") is not None,
        "golang-go": shutil.which("go") is not None,
        "golang-etcd-server-dev": (_LIBRARY / "src/go.etcd.io/etcd/clientv3").is_dir(),
    }
    return [package for package, is_there in needs.items() if not is_there]


def build() -> Path:
    """The program; built anew when its source has changed. Raises CalledProcessError."""
    program = BUILD / "etcd_load"
    if program.exists() and program.stat().st_mtime > _SOURCE.stat().st_mtime:
        return program
    package = BUILD / "src" / "etcd_load"
    package.mkdir(parents=True, exist_ok=True)
    shutil.copy(_SOURCE, package / "main.go")
    environment = os.environ | {
        "GO111MODULE": "off",
        "GOPATH": f"{BUILD}:{_LIBRARY}",
        "GOCACHE": str(BUILD / "cache"),
        "GOFLAGS": "",
    }
    line = ("go", "build", "-o", str(program), ".")
    subprocess.run(line, cwd=package, env=environment, check=True)
    return program


def etcd_version() -> str:
    """Of the server."""
    finished = subprocess.run(("etcd", "--version"), capture_output=True, text=True, check=True)
    return finished.stdout.splitlines()[0].rpartition(" ")[2]
