"""Node processes: started in a session of their own, and told from any other with the same pid.

A pid alone is reused by the system; a pid with the time at which its process started is not.
Signals go through a pidfd, so that what was checked is what is signalled. Linux only.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
# /proc/PID/stat after the command's name in parentheses: the state is the first field there, the
# number of threads the eighteenth, the start time, in clock ticks since boot, the twentieth
# (proc(5): fields 3, 20 and 22).
_STATE_FIELD: Final = 0
_THREADS_FIELD: Final = 17
_START_FIELD: Final = 19
_exit_codes: Final[dict[int, int]] = {}
"""Of children of this process that have ended, by pid; negative: the signal that ended it."""
_DEFAULT_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


@unique
class ProcessState(Enum):
    """What the system says of a process."""

    RUNNING = "running"
    PAUSED = "paused"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, for all time."""

    pid: int
    started: str
    """The boot's id and the start time in clock ticks since then."""


def spawn(argv: Sequence[str], environment: Mapping[str, str], log: Path) -> ProcessIdentity:
    """Starts `argv` in a session of its own, its output appended to `log`; raises OSError.

    By posix_spawn: nothing of this process is forked, whatever threads run in it.
    """
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.fspath(log), append, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=_DEFAULT_SIGNALS,
    )
    _exit_codes.pop(pid, None)
    # A child stays in /proc until it is waited for, even when it has ended by now.
    return ProcessIdentity(pid, _started(_stat(pid)))


def state_of(process: ProcessIdentity) -> ProcessState:
    """What became of `process`; a child of ours that ended is also laid to rest."""
    try:
        fields = _stat(process.pid)
    except (FileNotFoundError, ProcessLookupError):
        return ProcessState.DOWN
    if _started(fields) != process.started:
        return ProcessState.DOWN
    match fields[_STATE_FIELD]:
        case "Z" | "X":
            # Its first thread has ended. Others may still hold its port and its folder.
            return ProcessState.DOWN if _has_ended(process.pid, fields) else ProcessState.RUNNING
        case "T" | "t":
            return ProcessState.PAUSED
    return ProcessState.RUNNING


def how_it_ended(process: ProcessIdentity) -> str:
    """ "exit code 2" or "SIGKILL"; "nobody knows how" when it was started by another process."""
    code = _exit_codes.get(process.pid)
    if code is None:
        return "nobody knows how"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def send_signal(process: ProcessIdentity, number: signal.Signals) -> bool:
    """Signals `process`; False when it has ended."""
    with _opened(process) as descriptor:
        if descriptor is None:
            return False
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
            return True
        return False


def wait_until_down(process: ProcessIdentity, timeout_s: float) -> bool:
    """Waits until `process` has ended; False when `timeout_s` passed first."""
    with _opened(process) as descriptor:
        if descriptor is not None:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll(max(0.0, timeout_s) * 1000)
    return state_of(process) is ProcessState.DOWN


def wait_until_paused(process: ProcessIdentity, timeout_s: float) -> bool:
    """Waits until a SIGSTOP has taken hold of `process`: it is delivered, not obeyed, at once."""
    deadline_s = time.monotonic() + timeout_s
    while state_of(process) is not ProcessState.PAUSED:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.005)
    return True


@contextmanager
def _opened(process: ProcessIdentity) -> Iterator[int | None]:
    """A pidfd of `process`, or None when it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        # Checked after the open: from here on the descriptor means this process and no other.
        yield None if state_of(process) is ProcessState.DOWN else descriptor
    finally:
        os.close(descriptor)


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _started(fields: Sequence[str]) -> str:
    return f"{_BOOT_ID.read_text().strip()}:{fields[_START_FIELD]}"


def _has_ended(pid: int, fields: Sequence[str]) -> bool:
    """Whether the last thread of a process that is ending has ended; a child is laid to rest."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # somebody else's child: its parent will
        return int(fields[_THREADS_FIELD]) <= 1
    if ended:
        _exit_codes[pid] = os.waitstatus_to_exitcode(status)
    return bool(ended)
