"""shell: a prompt at which the other commands can be given. What it does is in `shell_session`."""

from __future__ import annotations

from typing import Annotated

import typer

from kvstore.cli.options import with_options
from kvstore.cli.session import Options


@with_options
def shell(
    options: Options,
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="End at the first failure, with its exit code.")
    ] = False,
    timing: Annotated[
        bool, typer.Option("--timing", help="Say on standard error how long each command took.")
    ] = False,
    no_history: Annotated[
        bool, typer.Option("--no-history", help="Neither load nor keep what was typed.")
    ] = False,
) -> int:
    """Give commands at a prompt, over one connection.

    The commands are those of kvstore with all their options, without the word kvstore; words are
    quoted as in a POSIX shell, and a line that begins with # is a comment. On a terminal, Tab
    completes commands and options, Ctrl-C ends the command that runs, Ctrl-D the shell. From a pipe
    or file it takes a command a line. Every result ends with an end of line. What is typed is kept
    in $XDG_STATE_HOME/kvstore/history, for its owner only.

    \b
    examples:
      kvstore shell --timing
      kvstore shell --output json --no-history
      printf 'put a 1\\nget a\\n' | kvstore shell --strict
    """
    from kvstore.cli.connection import Connection  # noqa: PLC0415 - not for --help
    from kvstore.cli.shell_session import run_shell  # noqa: PLC0415

    with Connection(options) as connection:
        shared = options.over(Options(connection=connection))
        return run_shell(shared, strict=strict, timing=timing, keep_history=not no_history)
