"""txn: several operations on keys of one partition, all or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kvstore.cli.exits import ExitCode
from kvstore.cli.operations import record_to_json
from kvstore.cli.options import with_options
from kvstore.cli.printing import write, write_json, write_line, write_table
from kvstore.cli.reading import ReceiptOption
from kvstore.cli.receipts import Receipts
from kvstore.cli.session import Options, Output
from kvstore.codec.record import Record
from kvstore.codec.text import to_cell, to_json
from kvstore.errors import ConfigurationError

if TYPE_CHECKING:
    from kvstore.client.transactions import Operation, OperationResult

_NAMES = {"Delete": "deleted", "Increment": "number", "Append": "length", "Touch": "touched"}


def _conditions(incomplete: str) -> list[str]:
    from kvstore.cli.transaction_parts import CONDITIONS  # noqa: PLC0415 - not for --help

    return _quoted(CONDITIONS, incomplete)


def _operations(incomplete: str) -> list[str]:
    from kvstore.cli.transaction_parts import OPERATIONS  # noqa: PLC0415

    return _quoted(OPERATIONS, incomplete)


def _quoted(names: Iterable[str], incomplete: str) -> list[str]:
    """With the quote that a part of several words begins with."""
    quote = incomplete[:1] if incomplete[:1] in ("'", '"') else "'"
    return [each for name in names if (each := f"{quote}{name}").startswith(incomplete)]


@with_options
def txn(
    options: Options,
    *,
    conditions: Annotated[
        list[str],
        typer.Option(
            "--if",
            metavar="CONDITION",
            default_factory=list,
            show_default=False,
            help="What has to hold; several: all of them.",
            autocompletion=_conditions,
        ),
    ],
    then: Annotated[
        list[str],
        typer.Option(
            "--then",
            metavar="OPERATION",
            default_factory=list,
            show_default=False,
            help="What is done then, in this order.",
            autocompletion=_operations,
        ),
    ],
    otherwise: Annotated[
        list[str],
        typer.Option(
            "--else",
            metavar="OPERATION",
            default_factory=list,
            show_default=False,
            help="What is done where a condition does not hold.",
            autocompletion=_operations,
        ),
    ],
    receipt: ReceiptOption = False,
) -> int:
    """Do several operations on keys of one partition: all of them, or none.

    All keys have to be in one partition, as those with the same part in braces are. Each condition
    and each operation is one word for the shell, and quoted inside as there. Prints which branch
    was done, and a line for each of its operations: revision, sum, length, yes or no, or the value.
    Exit code 1 where a condition does not hold, whether or not there is an --else.

    \b
    conditions:
      exists KEY                      absent KEY
      value KEY == VALUE              version KEY > N
      create-revision KEY == N        mod-revision KEY == N        also with != and <
    \b
    operations:
      put KEY VALUE [--ttl TIME]      append KEY SUFFIX [--ttl TIME]
      get KEY                         increment KEY [--by N] [--initial N] [--ttl TIME]
      delete KEY                      touch KEY --ttl TIME | --no-ttl
    \b
    examples:
      kvstore txn --if 'absent {7}/lock' --then 'put {7}/lock me --ttl 30s' --else 'get {7}/lock'
      kvstore txn --then 'increment {acct}/a --by -5' --then 'increment {acct}/b --by 5'
      kvstore txn --if 'value {7}/state == open' --then 'put {7}/state shut' --then 'get {7}/owner'
    """
    from kvstore.cli.transaction_parts import (  # noqa: PLC0415 - not for --help
        parsed_condition,
        parsed_operation,
    )

    if not (conditions or then or otherwise):
        raise ConfigurationError("a transaction needs --if, --then or --else")
    compare = [parsed_condition(each) for each in conditions]
    branches = (
        [parsed_operation("then", each) for each in then],
        [parsed_operation("else", each) for each in otherwise],
    )
    receipts = Receipts(receipt)
    result = receipts.run(
        options, lambda client: client.transaction(compare, *branches, receipts=receipts.taken)
    )
    done = branches[0] if result.succeeded else branches[1]
    branch = "then" if result.succeeded else "else"
    _print(options, branch, list(zip(done, result.results, strict=True)), receipts)
    return ExitCode.DONE if result.succeeded else ExitCode.NO


def _print(
    options: Options,
    branch: str,
    pairs: Sequence[tuple[Operation, OperationResult]],
    receipts: Receipts,
) -> None:
    if options.output is Output.JSON:
        results = [_as_json(*each) for each in pairs]
        write_json({"succeeded": branch == "then", "results": results, **receipts.as_json()})
    elif options.output is Output.TABLE:
        rows = [
            (type(each).__name__.lower(), to_cell(_key_of(each)), to_cell(_as_bytes(result)))
            for each, result in pairs
        ]
        write_table(("operation", "key", "result"), rows, branch)
    else:
        write_line(branch)
        for _, result in pairs:
            write(_as_bytes(result) + b"\n")


def _key_of(operation: Operation) -> bytes:
    return operation.key if isinstance(operation.key, bytes) else operation.key.encode()


def _as_bytes(result: OperationResult) -> bytes:
    """Nothing for a key that is not there."""
    if isinstance(result, bool):
        return b"yes" if result else b"no"
    if isinstance(result, Record):
        return result.value
    return b"" if result is None else b"%d" % result


def _as_json(operation: Operation, result: OperationResult) -> dict[str, object]:
    name, key = type(operation).__name__, _key_of(operation)
    said: dict[str, object] = {"operation": name.lower(), "key": to_json(key)}
    if name == "Get":
        record = record_to_json(key, result) if isinstance(result, Record) else None
        return {**said, "record": record}
    return {**said, _NAMES.get(name, "revision"): result}
