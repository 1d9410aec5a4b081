"""What the command's exit code says; scripts rely on it."""

from __future__ import annotations

from enum import IntEnum, unique

from kvstore.errors import (
    ConditionFailed,
    ConfigurationError,
    CorruptionError,
    CounterOverflow,
    Fenced,
    InvalidArgument,
    KVStoreError,
    NotANumber,
    Outcome,
    ResourceExhausted,
)


@unique
class ExitCode(IntEnum):
    """Never renumber."""

    DONE = 0
    NO = 1
    """Done, and the answer is no: there is no such key; or what was looked into is damaged."""
    USAGE = 2
    """The command line, the settings, or a file that it names cannot be used."""
    UNAVAILABLE = 3
    """No majority, no connection or no time; nothing was applied."""
    UNKNOWN = 4
    """A write may or may not have been applied."""
    REFUSED = 5
    """A limit, a full queue or a full disk, or no number to add to; nothing was applied."""
    CONDITION = 6
    """The condition of a write does not hold; nothing was applied."""
    UNDECIDED = 7
    """The judge found nothing wrong, and could not decide all of it within its limits."""
    BUG = 70
    """A mistake in kvstore itself (EX_SOFTWARE), with a traceback."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    """Who read the output went away (128 + SIGPIPE)."""


def exit_code_of(problem: KVStoreError) -> ExitCode:
    """The exit code of a command that ended with `problem`."""
    if problem.outcome is Outcome.UNKNOWN:
        return ExitCode.UNKNOWN
    match problem:
        case ConditionFailed() | Fenced():
            return ExitCode.CONDITION
        case ConfigurationError() | CorruptionError():
            return ExitCode.USAGE
        case InvalidArgument() | ResourceExhausted() | NotANumber() | CounterOverflow():
            return ExitCode.REFUSED
    return ExitCode.UNAVAILABLE
