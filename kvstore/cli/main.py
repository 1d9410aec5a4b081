"""The entry point: which path to take, and what an error looks like from outside."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

from kvstore.cli.exits import ExitCode, exit_code_of
from kvstore.errors import KVStoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line, and gives its exit code (kvstore/cli/exits.py). Never raises."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    # gRPC's core would complain on its own about what is said in one sentence here.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        code = _run(argv)
        sys.stdout.flush()
    except KVStoreError as problem:
        _complain(str(problem))
        code = exit_code_of(problem)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Else the interpreter meets the same error when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.BROKEN_PIPE
    except OSError as problem:
        name = f"{problem.filename}: " if problem.filename else ""
        _complain(f"{name}{problem.strerror or problem}")
        code = ExitCode.USAGE
    except SystemExit as problem:  # argparse, after --help
        code = problem.code if isinstance(problem.code, int) else ExitCode.DONE
    except Exception:
        _complain("this is a bug in kvstore; please report it with what follows")
        traceback.print_exc()
        code = ExitCode.BUG
    return int(code)


def _run(argv: Sequence[str]) -> int:
    if argv[:1] == ["serve"]:
        # A node shares nothing with the other commands, and its memory is worth more.
        from kvstore.cli.serve import serve  # noqa: PLC0415

        return serve(argv[1:])
    from kvstore.cli.quick import run_quickly  # noqa: PLC0415

    code = run_quickly(argv)
    if code is not None:
        return code
    from kvstore.cli.app import run  # noqa: PLC0415

    return run(argv)


def _complain(message: str) -> None:
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):
        sys.stderr.write(f"kvstore: {message}\n")
