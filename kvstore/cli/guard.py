"""What an error looks like from outside: one sentence on standard error, and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress

from kvstore.cli.exits import ExitCode, exit_code_of
from kvstore.errors import KVStoreError


def guarded(work: Callable[[], int]) -> int:
    """Does `work`, and gives its exit code (kvstore/cli/exits.py). Never raises."""
    try:
        code = work()
        sys.stdout.flush()
    except KVStoreError as problem:
        complain(str(problem))
        code = exit_code_of(problem)
    except KeyboardInterrupt:
        # An interrupt that came while a module made a dataclass has passed through an exec'd text,
        # and CPython (run_eval_code_obj) has noted it as uncaught: at its end `python -m kvstore`
        # would die by the signal instead of with our code. Another exec'd text clears the note.
        exec("")  # noqa: S102 - a constant
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Else the interpreter meets the same error when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.BROKEN_PIPE
    except OSError as problem:
        name = f"{problem.filename}: " if problem.filename else ""
        complain(f"{name}{problem.strerror or problem}")
        code = ExitCode.USAGE
    except SystemExit as problem:  # argparse, after --help
        code = problem.code if isinstance(problem.code, int) else ExitCode.DONE
    except Exception:
        complain("this is a bug in kvstore; please report it with what follows")
        traceback.print_exc()
        code = ExitCode.BUG
    return int(code)


def complain(message: str) -> None:
    """Says what is wrong, after what has been printed before."""
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):
        sys.stderr.write(f"kvstore: {message}\n")
