"""The common commands, get, put and delete, on a path of their own.

To load typer takes about as long as to get a key. So a command line of these that holds nothing but
the shared options is understood here; any other, and any wrong one, is left to typer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kvstore.cli.operations import delete_key, get_key, put_key
from kvstore.cli.session import Options, Output, options_from_environment

_COMMANDS: Final[dict[str, tuple[Callable[..., int], int]]] = {
    "get": (get_key, 1),
    "put": (put_key, 2),
    "delete": (delete_key, 1),
}
"""What is done, and how many arguments it takes."""
_OPTIONS: Final = frozenset({"--endpoints", "--timeout", "--output"})


def run_quickly(argv: Sequence[str]) -> int | None:
    """The exit code; None: nothing was done, this is for typer."""
    understood = _understand(argv)
    if understood is None:
        return None
    options, (name, *arguments) = understood
    command, count = _COMMANDS[name]
    if len(arguments) != count:
        return None
    return command(options.over(options_from_environment()), *arguments)


def _understand(argv: Sequence[str]) -> tuple[Options, list[str]] | None:
    """The shared options, and a known command with its arguments."""
    given: dict[str, str] = {}
    words: list[str] = []
    rest = iter(argv)
    for word in rest:
        name, separator, value = word.partition("=")
        if word == "--":
            words.extend(rest)
        elif name in _OPTIONS:
            found = value if separator else next(rest, None)
            if found is None:
                return None
            given[name] = found
        elif word.startswith("-") and word != "-":
            return None
        else:
            words.append(word)
    if not words or words[0] not in _COMMANDS:
        return None
    try:
        timeout, output = given.get("--timeout"), given.get("--output")
        options = Options(
            given.get("--endpoints"),
            None if timeout is None else float(timeout),
            None if output is None else Output(output),
        )
    except ValueError:
        return None
    return options, words
