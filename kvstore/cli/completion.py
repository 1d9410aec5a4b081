"""Line editing for the shell: completion of commands and options, and history."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Final

from kvstore.local.state import default_folder

HISTORY_LINES_MAX: Final = 1000


@contextmanager
def line_editing(
    tree: Any, built_in: Collection[str], hidden: Collection[str], keep_history: bool
) -> Iterator[None]:
    """Lets `input` edit, complete, and recall; does nothing where Python has no readline."""
    try:
        import readline  # noqa: PLC0415 - it sets up the terminal
    except ImportError:
        yield
        return
    found: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            before = readline.get_line_buffer()[: readline.get_begidx()]
            found[:] = candidates(tree, built_in, hidden, before.split(), text)
        return f"{found[state]} " if state < len(found) else None

    readline.set_completer_delims(" \t\n")
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
    try:
        with _history(readline) if keep_history else nullcontext():
            yield
    finally:
        readline.set_completer(None)


def candidates(
    tree: Any, built_in: Collection[str], hidden: Collection[str], before: list[str], text: str
) -> list[str]:
    """What the word that begins with `text` may be, after the words `before`.

    Commands, and the options and their choices of the command that stands before. Keys are not
    looked up: a Tab costs the cluster nothing.
    """
    words = before[1:] if before[:1] in (["help"], ["kvstore"]) else before
    node, last = tree, ""
    for word in words:
        node = getattr(node, "commands", {}).get(word, node)
        last = word
    if text.startswith("-"):
        names = [n for p in node.params for n in (*p.opts, *p.secondary_opts) if n[:1] == "-"]
        return sorted(n for n in (*names, "--help") if n.startswith(text))
    choices = [c for p in node.params if last in p.opts for c in _choices(p, text)]
    if choices:
        return sorted(choices)
    names = [n for n in getattr(node, "commands", {}) if node is not tree or n not in hidden]
    if not before:
        names += built_in
    return sorted(n for n in names if n.startswith(text))


def _choices(option: Any, text: str) -> list[str]:
    """What the library itself would complete, but for names of files."""
    return [each.value for each in option.shell_complete(None, text) if each.type == "plain"]


@contextmanager
def _history(readline: Any) -> Iterator[None]:
    """What was typed before, and what is typed now for the next time."""
    path = default_folder().parent / "history"
    with suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(HISTORY_LINES_MAX)
    try:
        yield
    finally:
        # Values may be secrets. A history that cannot be kept is no reason to fail.
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(path)
