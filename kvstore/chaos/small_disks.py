"""Disks of a fixed size under nodes, so that they can be full: file systems in memory, by root."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

from kvstore.errors import ConfigurationError

_DISK_MIB: Final = 256
_STUFFING: Final = "stuffing"


def disks_refusal() -> str | None:
    """Why no such disk can be made here; None: one can."""
    if os.geteuid() != 0:
        return "only root may mount the small file systems that are filled: run it as root"
    if shutil.which("mount") is None:
        return "there is no mount command"
    return None


class SmallDisks:
    """The disks of one run."""

    def __init__(self) -> None:
        self._folders: list[Path] = []

    def mount(self, folder: Path) -> None:
        """Puts `folder`, as it is, on a disk of its own; raises ConfigurationError."""
        aside = folder.with_name(f"{folder.name}-aside")
        folder.rename(aside)
        folder.mkdir()
        done = subprocess.run(  # noqa: S603 - no shell, and nothing of it comes from outside
            ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MIB}m", "tmpfs", str(folder)],  # noqa: S607
            capture_output=True,
            check=False,
            text=True,
        )
        if done.returncode != 0:
            folder.rmdir()
            aside.rename(folder)
            raise ConfigurationError(
                f"no small disk could be mounted on {folder}: {done.stderr.strip()}; leave "
                "disk-full out of --faults"
            )
        self._folders.append(folder)
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        shutil.rmtree(aside)

    def fill(self, folder: Path) -> None:
        """Takes all that is left there, to the last byte."""
        found = os.statvfs(folder)
        descriptor = os.open(folder / _STUFFING, os.O_RDWR | os.O_CREAT)
        try:
            os.posix_fallocate(descriptor, 0, found.f_bavail * found.f_frsize)
        finally:
            os.close(descriptor)

    def make_room(self, folder: Path) -> None:
        """Gives it back."""
        (folder / _STUFFING).unlink(missing_ok=True)

    def unmount(self) -> None:
        """Takes all disks away, with what is on them."""
        for folder in self._folders:
            with suppress(OSError):
                subprocess.run(  # noqa: S603 - as above
                    ["umount", "--lazy", str(folder)],  # noqa: S607
                    capture_output=True,
                    check=False,
                )
        self._folders.clear()
