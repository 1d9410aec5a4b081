"""Commands of the system that are run for what they do, and waited for."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from kvstore.errors import Unavailable


def output_of(
    command: Sequence[str], timeout_s: float, *, shown: str, hears_ctrl_c: bool = True
) -> str:
    """What it prints; raises Unavailable, with `shown` for the command and its last line, when it
    fails or takes longer. One that does not hear Ctrl-C finishes what it has begun."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and nothing of it comes from a network
            command,
            capture_output=True,
            check=False,
            text=True,
            timeout=timeout_s,
            start_new_session=not hears_ctrl_c,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Unavailable(f"{shown} failed: {problem}") from problem
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "it says nothing").splitlines()[-1]
        raise Unavailable(f"{shown} failed: {last}")
    return done.stdout
