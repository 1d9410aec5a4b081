"""The entry point: which path to take."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from kvstore.cli.guard import guarded
from kvstore.cli.loading import uncollected


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line, and gives its exit code (kvstore/cli/exits.py). Never raises."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    # gRPC's core would complain on its own about what is said in one sentence here.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    return guarded(lambda: _run(argv))


def _run(argv: Sequence[str]) -> int:
    if argv[:1] == ["serve"]:
        # A node shares nothing with the other commands, and its memory is worth more.
        with uncollected():
            from kvstore.cli.serve import serve  # noqa: PLC0415

        return serve(argv[1:])
    from kvstore.cli.quick import run_quickly  # noqa: PLC0415

    code = run_quickly(argv)
    if code is not None:
        return code
    with uncollected():
        from kvstore.cli.app import run  # noqa: PLC0415

    return run(argv)
