"""What the judge says, printed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from kvstore.cli.exits import ExitCode
from kvstore.cli.printing import write_line, write_table
from kvstore.cli.session import Output

if TYPE_CHECKING:
    from kvstore.verify.finding import Finding
    from kvstore.verify.judgement import Judgement, PromiseJudgement

_FINDINGS_SHOWN: Final = 5
_OPERATIONS_SHOWN: Final = 40
_UNDECIDED_SHOWN: Final = 5


def exit_code_of_verdict(judgement: Judgement) -> ExitCode:
    """0 for a history in which all promises are kept, 1 for a broken one, 7 where that is open."""
    from kvstore.verify.judgement import Ruling  # noqa: PLC0415 - not for --help

    return {
        Ruling.FINE: ExitCode.DONE,
        Ruling.VIOLATION: ExitCode.NO,
        Ruling.UNDECIDED: ExitCode.UNDECIDED,
    }[judgement.verdict]


def print_judgement(judgement: Judgement, output: Output | None) -> None:
    """For people: the verdict, each promise, and what shows that one is broken."""
    draws_tables = output is Output.TABLE or sys.stdout.isatty()
    head = f"{judgement.verdict.value}: {judgement.operations} operations"
    columns = ("promise", "verdict", "objects", "operations", "violations", "undecided")
    if draws_tables:
        write_table(columns, map(_cells, judgement.promises), head)
    else:
        write_line(head)
        for each in judgement.promises:
            write_line(_line(each))
    for note in judgement.notes:
        write_line(f"note: {note}")
    for finding in judgement.findings[:_FINDINGS_SHOWN]:
        _print_finding(finding, draws_tables)
    if judgement.violations > _FINDINGS_SHOWN:
        write_line(f"{judgement.violations - _FINDINGS_SHOWN} more violations are not shown")
    for undecided in judgement.undecided[:_UNDECIDED_SHOWN]:
        write_line(f"undecided: {undecided.text()}")
    if judgement.undecided_objects > _UNDECIDED_SHOWN:
        write_line(f"{judgement.undecided_objects - _UNDECIDED_SHOWN} more are undecided")


def _cells(each: PromiseJudgement) -> tuple[object, ...]:
    return (
        each.promise.value,
        each.ruling.value,
        each.objects,
        each.operations,
        each.violations,
        each.undecided,
    )


def _line(each: PromiseJudgement) -> str:
    parts = [f"{each.promise.value} {each.ruling.value}: {each.operations} operations"]
    parts.append(f"{each.objects} objects")
    if each.violations:
        parts.append(f"{each.violations} violations")
    if each.undecided:
        parts.append(f"{each.undecided} undecided")
    return ", ".join(parts)


def _print_finding(finding: Finding, draws_tables: bool) -> None:
    from kvstore.verify.table import HEADER, operation_rows, operations_table  # noqa: PLC0415

    write_line("")
    write_line(finding.headline())
    shown = finding.operations[:_OPERATIONS_SHOWN]
    if shown and draws_tables:
        write_table(HEADER, operation_rows(shown))
    elif shown:
        write_line(operations_table(shown))
    if len(finding.operations) > len(shown):
        write_line(f"and {len(finding.operations) - len(shown)} more operations")
