"""Child processes with a mutant planted. One that hangs is killed; so are all when the run ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from threading import Lock
from typing import Final

from tools.mutants.bootstrap import VARIABLE
from tools.mutants.mutation import Mutation
from tools.mutants.simulations import ROOT

KILLED: Final = -signal.SIGKILL
"""The exit code of a child that was killed."""
WALL_S_MAX: Final = 1800
"""For a child that does not even notice that it hangs."""


class Interrupted(Exception):
    """The run has ended before the child has: nothing is known of the mutant."""


class Children:
    """Runs modules in processes of their own, from as many threads as there are."""

    def __init__(self) -> None:
        self._lock: Final = Lock()
        self._running: dict[int, subprocess.Popen[str]] = {}
        self._has_ended = False

    def run(self, mutation: Mutation | None, *command: str) -> tuple[int, str]:
        """Runs a module with `mutation` planted; its exit code and what it printed."""
        child = self._start(mutation, command)
        try:
            output, _ = child.communicate(timeout=WALL_S_MAX)
        except subprocess.TimeoutExpired:
            _kill(child)
            output, _ = child.communicate()
        with self._lock:
            del self._running[child.pid]
            if self._has_ended:
                raise Interrupted
        return child.returncode, output

    def end(self) -> None:
        """Kills those that run, and starts no more."""
        with self._lock:
            self._has_ended = True
            for child in self._running.values():
                _kill(child)

    def _start(self, mutation: Mutation | None, command: tuple[str, ...]) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            VARIABLE: "" if mutation is None else mutation.name,
            "PYTHONHASHSEED": "0",
            "COLUMNS": "200",
        }
        with self._lock:
            if self._has_ended:
                raise Interrupted
            child = subprocess.Popen(
                [sys.executable, "-m", "tools.mutants.bootstrap", *command],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                # Ctrl-C is for the parent, which knows what to keep.
                start_new_session=True,
            )
            self._running[child.pid] = child
            return child


@dataclass(frozen=True, slots=True)
class Planted:
    """Runs modules with one mutant, or with none."""

    children: Children
    mutation: Mutation | None

    def run(self, *command: str) -> tuple[int, str]:
        """See Children."""
        return self.children.run(self.mutation, *command)


def _kill(child: subprocess.Popen[str]) -> None:
    """Its whole session: what it started hangs with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
