"""Lists: elements that were appended once each, and are read all together.

As each element is unique and each read gives the whole list, there is nothing to search for. Of a
linearizable history every read is a prefix of the longest one. So that one says which append came
after which, and the length of a read between which two of them it stands; what was appended and
never read comes last, or, where its outcome is unknown, not at all. Whatever stands earlier in this
one order than something that had ended before it began cannot be. Where there is no such pair the
order is valid: the judgement is exact.

What it finds:

- **Forked**: two reads of which neither is the beginning of the other.
- **Duplicated**, **made up**: an element that is there twice, or that nobody appended; or whose
  append was refused.
- **Lost**, **gone back**, **too early**, **out of order**: an acknowledged append that a later read
  does not have; a read with less than an earlier one; with what was not yet appended; an append
  before one that had ended earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kvstore.codec.text import to_cell
from kvstore.errors import ConfigurationError
from kvstore.verify.finding import Finding
from kvstore.verify.history import History
from kvstore.verify.operation import SEPARATOR, Ending, Kind, Operation


def judge_lists(history: History) -> list[Finding]:
    """What is wrong with the lists of `history`. Raises ConfigurationError as `judge_list`."""
    findings = []
    for of_key in history.by_key().values():
        if any(each.op is Kind.APPEND for each in of_key):
            findings.extend(judge_list(of_key))
    return findings


def judge_list(operations: Sequence[Operation]) -> list[Finding]:
    """What is wrong with one list, of which these are the appends and reads.

    Raises ConfigurationError where an element was appended by two operations: what is read of it
    does not say by which.
    """
    appends: dict[bytes, Operation] = {}
    for each in operations:
        if each.op is Kind.APPEND and each.input is not None:
            if each.input in appends:
                raise ConfigurationError(
                    f'"{to_cell(each.input)}" is appended to "{to_cell(each.key)}" twice; each'
                    " element of a list has to be unique"
                )
            appends[each.input] = each
    reads = [
        (each, _content(each.output))
        for each in operations
        if each.op is Kind.GET and each.is_ok and each.is_linearizable
    ]
    longest = max(reads, key=lambda read: len(read[1]), default=None)
    if longest is None:
        return []
    return (
        _forks(reads, longest)
        or _strangers(*longest, appends)
        or _misplaced(reads, longest, appends)
    )


def _content(value: bytes | None) -> bytes:
    return b"" if value is None else value.removesuffix(SEPARATOR)


def elements_of(value: bytes | None) -> list[bytes]:
    """The elements of a list that was read as `value`."""
    content = _content(value)
    return content.split(SEPARATOR) if content else []


Read = tuple[Operation, bytes]
"""With the list that was read, without a separator at its end."""


def _forks(reads: Iterable[Read], longest: Read) -> list[Finding]:
    findings = []
    whole = longest[1]
    for read, content in reads:
        end = len(content)
        is_whole = end in (0, len(whole)) or whole[end : end + 1] == SEPARATOR
        if not (is_whole and whole.startswith(content)):
            detail = "the list is forked: neither of two reads is the beginning of the other"
            findings.append(Finding("list", detail, (read, longest[0])))
    return findings


def _strangers(read: Operation, content: bytes, appends: dict[bytes, Operation]) -> list[Finding]:
    """Elements that should not be there, or only once."""
    findings = []
    seen = set()
    for element in elements_of(content):
        name = to_cell(element)
        append = appends.get(element)
        if element in seen:
            shown = (read,) if append is None else (append, read)
            findings.append(Finding("list", f'"{name}" is duplicated', shown))
        elif append is None:
            detail = f'"{name}" is made up: nobody had appended it'
            findings.append(Finding("list", detail, (read,)))
        elif append.outcome is Ending.FAIL:
            detail = f'"{name}" is there, although its append was refused'
            findings.append(Finding("list", detail, (append, read)))
        seen.add(element)
    return findings


def _misplaced(
    reads: Iterable[Read], longest: Read, appends: dict[bytes, Operation]
) -> list[Finding]:
    """Operations that ended before something began that the list puts before them."""
    ordered = elements_of(longest[1])
    place = {element: 2 * number + 1 for number, element in enumerate(ordered)}
    placed = [
        (2 * (content.count(SEPARATOR) + 1) if content else 0, read) for read, content in reads
    ]
    for element, append in appends.items():
        if element in place:
            placed.append((place[element], append))
        elif append.is_ok:
            placed.append((2 * len(ordered) + 1, append))
    placed.sort(key=lambda each: each[0])
    findings = []
    last_begun: Operation | None = None
    """Of those at lower places, the one that began last."""
    waiting: list[Operation] = []
    at = -1
    for where, operation in placed:
        if where != at:
            at = where
            last_begun = max(
                [*waiting, *([last_begun] if last_begun else [])],
                key=lambda each: each.invoked_ns,
                default=None,
            )
            waiting = []
        waiting.append(operation)
        returned_ns = operation.returned_ns
        if last_begun and returned_ns is not None and returned_ns < last_begun.invoked_ns:
            findings.append(_misfit(operation, last_begun, longest[0]))
    return findings


def _misfit(ended: Operation, begun: Operation, longest: Operation) -> Finding:
    """`ended` is placed after `begun`, but had ended before that began."""
    if ended.op is Kind.APPEND and begun.op is Kind.APPEND:
        later, earlier = to_cell(ended.input or b""), to_cell(begun.input or b"")
        detail = f'"{later}" is out of order: it was appended before "{earlier}", and stands after'
        return Finding("list", detail, (ended, begun, longest))
    if ended.op is Kind.APPEND:
        detail = f'"{to_cell(ended.input or b"")}" is lost: it was appended, and is not read'
    elif begun.op is Kind.APPEND:
        detail = f'"{to_cell(begun.input or b"")}" is read too early: it was appended only later'
    else:
        detail = "the list has gone back: a read has less than one that had ended before it began"
    return Finding("list", detail, (ended, begun))
