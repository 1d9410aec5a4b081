"""put, get, delete and scan."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvstore.cli.changes import Conditions, delete_if, put_if
from kvstore.cli.operations import delete_key, get_key, get_keys, put_key
from kvstore.cli.options import with_options
from kvstore.cli.printing import say, write, write_json, write_table
from kvstore.cli.ranges import EndOption, PrefixOption, StartOption
from kvstore.cli.reading import (
    ConsistencyOption,
    ReadOptions,
    ReceiptOption,
    StalenessOption,
    TokenOption,
    go_on,
    level_of,
    read_key,
    read_keys,
)
from kvstore.cli.receipts import Receipts
from kvstore.cli.session import Options, Output
from kvstore.cli.text import from_argument
from kvstore.codec.text import to_cell, to_json

if TYPE_CHECKING:
    from kvstore.client import AsyncClient

_TABLE_ROWS: Final = 500

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", show_default=False)]
TtlOption = Annotated[
    str | None,
    typer.Option(
        "--ttl", metavar="TIME", help="The key expires after TIME: 90, 250ms, 15m, 2h, 7d."
    ),
]
IfRevisionOption = Annotated[
    int | None,
    typer.Option(
        "--if-revision", metavar="N", min=0, help="Only if the key has revision N; 0: is absent."
    ),
]
IfValueOption = Annotated[
    str | None, typer.Option("--if-value", metavar="V", help="Only if the key's value is V.")
]
PreviousOption = Annotated[
    bool, typer.Option("--previous", help="Print the value that was there before.")
]


@with_options
def put(
    options: Options,
    key: KeyArgument,
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="The value; - reads standard input.")
    ],
    *,
    ttl: TtlOption = None,
    if_absent: Annotated[
        bool, typer.Option("--if-absent", help="Only if there is no such key.")
    ] = False,
    if_revision: IfRevisionOption = None,
    if_value: IfValueOption = None,
    previous: PreviousOption = False,
    receipt: ReceiptOption = False,
) -> int:
    """Set a key to a value.

    Prints the write's revision, or with --previous the value that was there before. The write is on
    a majority of the key's replicas, on disk, when the command returns. Exit code 6 and nothing
    done where a condition does not hold. Without --ttl the key does not expire.

    \b
    examples:
      kvstore put greeting hello
      kvstore put logo - < logo.png
      kvstore put session/7 alice --ttl 30m --if-absent
      kvstore put price 12 --if-revision 381
      kvstore put -- -key "begins with a dash"
    """
    conditions = Conditions(if_absent, if_revision, if_value)
    if conditions == Conditions() and ttl is None and not (previous or receipt):
        return put_key(options, key, value)
    return put_if(
        options, key, value, ttl=ttl, conditions=conditions, previous=previous, receipt=receipt
    )


@with_options
def get(
    options: Options,
    keys: Annotated[list[str], typer.Argument(metavar="KEY…", show_default=False)],
    *,
    consistency: ConsistencyOption = None,
    max_staleness: StalenessOption = None,
    token: TokenOption = None,
    receipt: ReceiptOption = False,
) -> int:
    """Print the value of a key, or of several.

    Of one: its bytes as they are, and an end of line on a terminal only. Of several: one line for
    each, key, tab, value. Exit code 1 when there is no such key, or not all of them.

    \b
    examples:
      kvstore get greeting
      kvstore get logo > logo.png
      kvstore get greeting --output json
      kvstore get user/1 user/2 user/3
      kvstore get greeting --max-staleness 5 --receipt
    """
    how = ReadOptions(consistency, max_staleness, token, receipt)
    if len(keys) > 1:
        return read_keys(options, keys, how) if how.are_given else get_keys(options, keys)
    return read_key(options, keys[0], how) if how.are_given else get_key(options, keys[0])


@with_options
def delete(
    options: Options,
    key: KeyArgument,
    *,
    if_revision: IfRevisionOption = None,
    if_value: IfValueOption = None,
    previous: PreviousOption = False,
    receipt: ReceiptOption = False,
) -> int:
    """Delete a key.

    Exit code 1 when there was no such key, 6 and nothing done where a condition does not hold.

    \b
    examples:
      kvstore delete greeting
      kvstore delete price --if-revision 381
      kvstore delete job --previous
    """
    conditions = Conditions(if_revision=if_revision, if_value=if_value)
    if conditions == Conditions() and not (previous or receipt):
        return delete_key(options, key)
    return delete_if(options, key, conditions, previous, receipt)


@with_options
def scan(
    options: Options,
    *,
    prefix: PrefixOption = None,
    start: StartOption = None,
    end: EndOption = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="At most N keys. [default: all]")
    ] = None,
    keys_only: Annotated[bool, typer.Option("--keys-only", help="Print no values.")] = False,
    reverse: Annotated[bool, typer.Option("--reverse", help="From the last key down.")] = False,
    consistent: Annotated[
        bool, typer.Option("--consistent", help="Each partition as it is at one moment.")
    ] = False,
    cursor: Annotated[
        str | None, typer.Option(metavar="C", help="Go on behind a scan that ended at C.")
    ] = None,
    print_cursor: Annotated[
        bool, typer.Option("--print-cursor", help="Say at the end where it stands.")
    ] = False,
    consistency: ConsistencyOption = None,
    max_staleness: StalenessOption = None,
    token: TokenOption = None,
    receipt: ReceiptOption = False,
) -> None:
    """Print keys and values in order.

    The order is that of the keys' bytes. One line for each key: key, tab, value. Where keys or
    values may hold tabs or ends of line, use --output json. Each page is read linearizably, but the
    scan as a whole is no snapshot: a key that changes meanwhile is seen before or after. With
    --consistent each partition is shown as it was at one moment; with --consistency or
    --max-staleness pages come from any replica.

    --print-cursor says on standard error where the scan ended, also where it failed; --cursor goes
    on there, with the same range and direction.

    \b
    examples:
      kvstore scan --prefix user/ --keys-only
      kvstore scan --start a --end b --limit 10
      kvstore scan --prefix user/ --output json | jq .value
      kvstore scan --prefix log/ --reverse --limit 20 --print-cursor
    """
    first, begin, stop = (None if b is None else from_argument(b) for b in (prefix, start, end))
    printer = _ScanPrinter(options.output or Output.SIMPLE, keys_only)
    how = ReadOptions(consistency, max_staleness, token, receipt)
    level = level_of(how)
    receipts = Receipts(receipt)

    async def work(client: AsyncClient) -> None:
        await go_on(client, how)
        wanted = partial(
            client.scan_keys if keys_only else client.scan,
            prefix=first,
            start=begin,
            end=stop,
            limit=limit,
            reverse=reverse,
            consistent=consistent,
            consistency=level,
            cursor=cursor,
            receipts=receipts.taken,
        )
        async with aclosing(wanted()) as found:
            try:
                async for entry in found:
                    printer.add(*((entry, b"") if isinstance(entry, bytes) else entry))
                    receipts.shorten()
            finally:
                if print_cursor:
                    printer.finish()
                    say(f"cursor {found.cursor}")

    try:
        receipts.run(options, work, in_json=False)
    finally:
        printer.finish()


class _ScanPrinter:
    """Prints rows as they come; tables in parts, so that memory does not grow with the scan."""

    def __init__(self, output: Output, keys_only: bool) -> None:
        self._output = output
        self._keys_only = keys_only
        self._rows: list[tuple[str, ...]] = []

    def add(self, key: bytes, value: bytes) -> None:
        match self._output:
            case Output.SIMPLE:
                write(key + b"\n" if self._keys_only else b"%b\t%b\n" % (key, value))
            case Output.JSON if self._keys_only:
                write_json({"key": to_json(key)})
            case Output.JSON:
                write_json({"key": to_json(key), "value": to_json(value)})
            case Output.TABLE:
                row = (to_cell(key), to_cell(value))
                self._rows.append(row[:1] if self._keys_only else row)
                if len(self._rows) == _TABLE_ROWS:
                    self.finish()

    def finish(self) -> None:
        if self._rows:
            write_table(("key",) if self._keys_only else ("key", "value"), self._rows)
            self._rows.clear()
