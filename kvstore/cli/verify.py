"""verify: the judge of histories, by itself."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import typer

from kvstore.cli.exits import ExitCode
from kvstore.cli.options import OutputOption
from kvstore.cli.printing import say, write_json
from kvstore.cli.progress import Advance, progress
from kvstore.cli.session import Options, Output
from kvstore.cli.text import positive
from kvstore.errors import ConfigurationError

if TYPE_CHECKING:
    from kvstore.verify.decide import Limits
    from kvstore.verify.history import History
    from kvstore.verify.judgement import Judgement

_TIMEOUT_S: Final = 600.0
_TIMEOUT_S_MAX: Final = 7 * 86400.0


def verify(
    context: typer.Context,
    history: Annotated[str, typer.Argument(metavar="HISTORY", show_default=False)],
    *,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How long to judge; the rest is left undecided."),
    ] = _TIMEOUT_S,
    bank_total: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="What the accounts of a bank hold together; else what most reads of it say.",
            show_default=False,
        ),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw the first counterexample as a timeline.", show_default=False
        ),
    ] = None,
    output: OutputOption = None,
) -> int:
    """Judge a history: what clients asked of any store, and what they were told.

    HISTORY is a file of JSON lines (docs/format-history.md), - for standard input, or the directory
    of a chaos run, whose report is written anew. Each key is judged by what is done to it:
    linearizability of registers, increments that count once, appends, sets, banks, scans; and
    sessions, where operations have receipts. For what is wrong, the few operations that show it
    are printed.

    \b
    exit codes:
      0  fine                       2  HISTORY cannot be read or judged
      1  a promise is broken        7  undecided: no time left, or a search too large

    \b
    examples:
      kvstore verify history.jsonl
      kvstore verify history.jsonl --svg counterexample.svg --timeout 60
      kvstore verify chaos-run/
      zcat history.jsonl.gz | kvstore verify - --output json | jq .verdict
    """
    positive("timeout", timeout, _TIMEOUT_S_MAX)
    printed_as = Options(output=output).over(context.obj or Options()).output
    path = Path(history)
    if history != "-" and path.is_dir():
        judged, was_interrupted = judge_run(path, timeout, bank_total)
    else:
        read = _read_standard_input() if history == "-" else _read(path)
        judged, was_interrupted = _judge(read, timeout, bank_total)
    _print(judged, printed_as)
    _draw(judged, svg)
    from kvstore.cli.verdict import exit_code_of_verdict  # noqa: PLC0415 - not for --help

    code = exit_code_of_verdict(judged)
    return ExitCode.INTERRUPTED if was_interrupted and code is ExitCode.UNDECIDED else code


def _read(path: Path) -> History:
    with path.open("rb") as file:
        return _parse(file, str(path), path.stat().st_size)


def _read_standard_input() -> History:
    return _parse(sys.stdin.buffer, "standard input", None)


def _parse(file: IO[bytes], name: str, size: int | None) -> History:
    from kvstore.verify.history import History  # noqa: PLC0415 - not for --help

    with progress(size, lines="reading") as advance:
        return History.parse(_counted(file, advance), name, may_be_torn=True)


def _counted(lines: Iterable[bytes], advance: Advance) -> Iterator[bytes]:
    position = 0
    for count, line in enumerate(lines):
        advance(position, count)
        position += len(line)
        yield line


def _judge(history: History, timeout_s: float, bank_total: int | None) -> tuple[Judgement, bool]:
    from kvstore.verify.judge import judge  # noqa: PLC0415 - not for --help

    with _time(timeout_s) as (limits, stop), progress(len(history.operations), lines=_WHAT) as tell:
        judged = judge(history, limits, bank_total=bank_total, progress=tell)
    return judged, stop.was_interrupted


def judge_run(directory: Path, timeout_s: float, bank_total: int | None) -> tuple[Judgement, bool]:
    """Judges the run in `directory` and writes its report; also says whether Ctrl-C cut it short.

    Raises ConfigurationError and OSError.
    """
    from kvstore.chaos_report.report import REPORT_NAME, write_report  # noqa: PLC0415

    with _time(timeout_s) as (limits, stop), progress(None, lines=_WHAT) as tell:
        judged = write_report(directory, limits, bank_total=bank_total, progress=tell)
    say(f"the report is in {directory / REPORT_NAME}")
    return judged, stop.was_interrupted


_WHAT: Final = "judging"


class _Stop:
    """When to come to an end: once the time is over, or somebody pressed Ctrl-C."""

    def __init__(self, timeout_s: float) -> None:
        self._until_s = time.monotonic() + timeout_s
        self.was_interrupted = False

    def is_due(self) -> bool:
        """Asked by the judge now and then."""
        return self.was_interrupted or time.monotonic() > self._until_s

    def interrupt(self, _number: int, _frame: Any) -> None:
        """The first Ctrl-C asks for what was found so far, the second ends everything."""
        if self.was_interrupted:
            raise KeyboardInterrupt
        self.was_interrupted = True


@contextmanager
def _time(timeout_s: float) -> Iterator[tuple[Limits, _Stop]]:
    from kvstore.verify.decide import Limits  # noqa: PLC0415 - not for --help

    stop = _Stop(timeout_s)
    before = signal.signal(signal.SIGINT, stop.interrupt)
    try:
        yield Limits(should_stop=stop.is_due), stop
    finally:
        signal.signal(signal.SIGINT, before)


def _print(judged: Judgement, output: Output | None) -> None:
    if output is Output.JSON:
        from kvstore.verify.record import judgement_record  # noqa: PLC0415 - not for --help

        write_json(judgement_record(judged))
    else:
        from kvstore.cli.verdict import print_judgement  # noqa: PLC0415 - not for --help

        print_judgement(judged, output)


def _draw(judged: Judgement, svg: Path | None) -> None:
    """Writes the drawing, or says how to get it."""
    shown = judged.counterexample
    if shown is None:
        if svg is not None:
            say(f"nothing to draw: {svg} is not written")
        return
    if svg is None:
        say("--svg FILE draws these operations as a timeline")
        return
    from kvstore.verify.timeline import timeline_svg  # noqa: PLC0415 - not for --help

    drawing = timeline_svg(shown.operations, shown.headline(), until_ns=shown.until_ns)
    try:
        svg.write_text(drawing + "\n", encoding="utf-8")
    except OSError as problem:
        raise ConfigurationError(
            f"{svg} cannot be written: {problem.strerror}; the verdict is {judged.verdict.value}"
        ) from problem
    say(f"a timeline is in {svg}")
