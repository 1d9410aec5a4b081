"""What the shell does with the lines that it is given, one command each."""

from __future__ import annotations

import io
import os
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

from kvstore.cli.app import command_tree, run
from kvstore.cli.completion import line_editing
from kvstore.cli.exits import ExitCode
from kvstore.cli.guard import guarded
from kvstore.cli.printing import say, write_line
from kvstore.cli.session import Options
from kvstore.errors import ConfigurationError

PROMPT: Final = "kvstore> "
OUTSIDE_ONLY: Final = frozenset({"serve", "shell"})
"""A node and a shell have a process of their own."""
BUILT_IN: Final = {
    "help": "What commands there are; help COMMAND: what one does.",
    "timing": "on or off: say how long each command took.",
    "exit": "End the shell; so do quit and Ctrl-D.",
    "quit": "",
}
_LINE_BYTES_MAX: Final = 64 << 20
"""A largest value (16 MiB), each byte of it quoted, and what stands beside it."""


def run_shell(options: Options, *, strict: bool, timing: bool, keep_history: bool) -> int:
    """Runs lines of standard input until its end; gives the shell's exit code."""
    shell = _Shell(options, timing)
    is_interactive = sys.stdin.isatty()
    with ExitStack() as stack:
        if is_interactive:
            stack.enter_context(line_editing(command_tree(), BUILT_IN, OUTSIDE_ONLY, keep_history))
            if isinstance(sys.stdin, io.TextIOWrapper):
                sys.stdin.reconfigure(errors="surrogateescape")
        read = _typed_line if is_interactive else _piped_line
        ends_with = {ExitCode.BROKEN_PIPE} | (set() if is_interactive else {ExitCode.INTERRUPTED})
        while not shell.is_ended:
            try:
                line = read()
                if line is None:
                    break
                code = guarded(partial(shell.execute, line))
            except KeyboardInterrupt:  # just before or after the command
                code = ExitCode.INTERRUPTED
            if code == ExitCode.INTERRUPTED and is_interactive:
                say("interrupted; what was under way may or may not have been done")
            if code in ends_with or (strict and code != ExitCode.DONE):
                return code
    return ExitCode.DONE


class _Shell:
    """Executes lines; `is_ended` after exit."""

    def __init__(self, options: Options, timing: bool) -> None:
        self._options = options
        self._timing = timing
        self.is_ended = False

    def execute(self, line: str) -> int:
        """The exit code of the command in `line`; raises what it raises."""
        words = _words(line)
        if words[:1] == ["kvstore"]:
            del words[0]
        if not words:
            return ExitCode.DONE
        built_in = self._built_in(words[0])
        if built_in is not None:
            return built_in(words[1:])
        if words[0] in OUTSIDE_ONLY:
            raise ConfigurationError(f"{words[0]} does not run inside of the shell")
        begun_s = time.monotonic()
        try:
            return run(words, self._options)
        finally:
            if self._timing:
                sys.stdout.flush()
                say(f"took {(time.monotonic() - begun_s) * 1000:.1f} ms")

    def _built_in(self, name: str) -> Callable[[list[str]], int] | None:
        return {
            "help": self._help,
            "timing": self._switch_timing,
            "exit": self._end,
            "quit": self._end,
        }.get(name)

    def _help(self, words: list[str]) -> int:
        if words and words[0] not in BUILT_IN:
            return run([*words, "--help"], self._options)
        commands = command_tree().commands.items()
        lines = [(n, c.get_short_help_str(limit=80)) for n, c in commands if n not in OUTSIDE_ONLY]
        for name, what in (*lines, *BUILT_IN.items()):
            if what:
                write_line(f"{name:<14}{what}")
        return ExitCode.DONE

    def _switch_timing(self, words: list[str]) -> int:
        if words not in (["on"], ["off"], []):
            raise ConfigurationError(f"timing is on or off, not {' '.join(words)!r}")
        self._timing = words == ["on"] if words else not self._timing
        say(f"timing is {'on' if self._timing else 'off'}")
        return ExitCode.DONE

    def _end(self, words: list[str]) -> int:
        if words:
            raise ConfigurationError("exit and quit take nothing beside them")
        self.is_ended = True
        return ExitCode.DONE


def _words(line: str) -> list[str]:
    """The words of a line as a POSIX shell has them, without its other means."""
    if line.lstrip().startswith("#"):
        return []
    try:
        return shlex.split(line)
    except ValueError as problem:
        raise ConfigurationError(f"the line cannot be read: {problem}".lower()) from problem


def _piped_line() -> str | None:
    """The next line of standard input, whatever bytes it holds; None: there is none."""
    line = sys.stdin.buffer.readline(_LINE_BYTES_MAX + 1)
    if len(line) > _LINE_BYTES_MAX:
        raise ConfigurationError(f"a line is longer than {_LINE_BYTES_MAX} bytes")
    return os.fsdecode(line) if line else None


def _typed_line() -> str | None:
    """The next line that somebody types; None: Ctrl-D. A line that is given up is empty."""
    # Results may go elsewhere, and the prompt is none.
    prompt = PROMPT if sys.stdout.isatty() else ""
    try:
        return input(prompt)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return ""
    except EOFError:
        sys.stderr.write("\n")
        return None
