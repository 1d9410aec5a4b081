"""count and delete-range."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kvstore.cli.exits import ExitCode
from kvstore.cli.options import with_options
from kvstore.cli.printing import say, write_json, write_line, write_table
from kvstore.cli.progress import progress
from kvstore.cli.session import Options, Output
from kvstore.cli.text import from_argument
from kvstore.codec.text import to_cell
from kvstore.errors import ConfigurationError, InvalidArgument, KVStoreError

if TYPE_CHECKING:
    from kvstore.client import AsyncClient

PrefixOption = Annotated[str | None, typer.Option(metavar="P", help="Only keys that begin with P.")]
StartOption = Annotated[str | None, typer.Option(metavar="K", help="From K on, K included.")]
EndOption = Annotated[str | None, typer.Option(metavar="K", help="Up to K, K excluded.")]


@with_options
def count(
    options: Options,
    *,
    prefix: PrefixOption = None,
    start: StartOption = None,
    end: EndOption = None,
) -> None:
    """Count keys.

    The nodes count them, page by page; no keys are sent. Each page is linearizable, the whole is no
    snapshot: a key that comes or goes meanwhile is counted or not.

    \b
    examples:
      kvstore count
      kvstore count --prefix user/
    """
    first, begin, stop = _bounds(prefix, start, end)
    found = options.run(lambda client: client.count(prefix=first, start=begin, end=stop))
    if options.output is Output.JSON:
        write_json({"count": found})
    elif options.output is Output.TABLE:
        write_table(("count",), [(found,)])
    else:
        write_line(str(found))


@with_options
def delete_range(
    options: Options,
    *,
    prefix: PrefixOption = None,
    start: StartOption = None,
    end: EndOption = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask, where there is no --prefix.")
    ] = False,
) -> int:
    """Delete all keys of a range.

    Needs --prefix, --start or --end. Without --prefix it asks first, unless --yes is given. Keys go
    page by page, in order: it is not atomic, and where it fails those that were deleted stay
    deleted; it can be run again. A key that is put into the range meanwhile may be deleted or stay.

    \b
    examples:
      kvstore delete-range --prefix session/2025-
      kvstore delete-range --start a --end b --yes
    """
    first, begin, stop = _bounds(prefix, start, end)
    if prefix is None and start is None and end is None:
        raise ConfigurationError(
            "delete-range needs --prefix, --start or --end; --start '' is for all keys there are"
        )
    if not prefix and not yes and not _is_confirmed(begin, stop):
        say("nothing was deleted")
        return ExitCode.NO
    gone = 0
    with progress(None, lines="deleting") as advance:

        def note(deleted: int) -> None:
            nonlocal gone
            gone = deleted
            advance(0, deleted)

        async def work(client: AsyncClient) -> int:
            return await client.delete_range(prefix=first, start=begin, end=stop, progress=note)

        try:
            deleted = options.run(work)
        except KVStoreError as problem:
            # Of what breaks a rule nothing was begun.
            if gone or not isinstance(problem, ConfigurationError | InvalidArgument):
                say(f"at least {gone} keys had been deleted when it ended")
            raise
    if options.output is Output.JSON:
        write_json({"deleted": deleted})
    elif options.output is Output.TABLE:
        write_table(("deleted",), [(deleted,)])
    else:
        write_line(f"deleted {deleted} keys")
    return ExitCode.DONE


def _bounds(*texts: str | None) -> list[bytes | None]:
    return [None if text is None else from_argument(text) for text in texts]


def _is_confirmed(start: bytes | None, end: bytes | None) -> bool:
    """What the user says; raises ConfigurationError where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise ConfigurationError("without --prefix, delete-range needs --yes where nobody is asked")
    span = f"from {to_cell(start)!r} on" if start else "from the first one on"
    span += f", up to {to_cell(end)!r}" if end is not None else ", to the last one"
    sys.stderr.write(f"delete all keys {span}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
