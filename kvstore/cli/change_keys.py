"""increment, append and touch, as typer sees them."""

from __future__ import annotations

from typing import Annotated

import typer

from kvstore.cli.changes import append_key, increment_key, touch_key
from kvstore.cli.keys import KeyArgument, TtlOption
from kvstore.cli.options import with_options
from kvstore.cli.reading import ReceiptOption
from kvstore.cli.session import Options


@with_options
def increment(
    options: Options,
    key: KeyArgument,
    *,
    by: Annotated[int, typer.Option("--by", metavar="N", help="What is added.")] = 1,
    initial: Annotated[
        int, typer.Option("--initial", metavar="N", help="What an absent key counts as.")
    ] = 0,
    ttl: TtlOption = None,
    receipt: ReceiptOption = False,
) -> int:
    """Add to the number under a key, and print the sum.

    Numbers are whole, signed, of 64 bits, and stored as decimal digits. Exit code 5 where something
    else is there or the sum does not fit. Without --ttl the key's lifetime stays as it is.

    \b
    examples:
      kvstore increment visits
      kvstore increment stock --by -3 --initial 100
      kvstore increment requests/10.0.0.7 --ttl 1m
    """
    return increment_key(options, key, by, initial=initial, ttl=ttl, receipt=receipt)


@with_options
def append(
    options: Options,
    key: KeyArgument,
    suffix: Annotated[
        str,
        typer.Argument(metavar="SUFFIX", help="What is added; - reads standard input."),
    ],
    *,
    ttl: TtlOption = None,
    receipt: ReceiptOption = False,
) -> int:
    """Add to the end of a value, and print its new length in bytes.

    An absent key counts as empty. Without --ttl the key's lifetime stays as it is.

    \b
    examples:
      kvstore append log/today "it rained"
      date | kvstore append log/today -
    """
    return append_key(options, key, suffix, ttl, receipt)


@with_options
def touch(
    options: Options,
    key: KeyArgument,
    *,
    ttl: TtlOption = None,
    no_ttl: Annotated[bool, typer.Option("--no-ttl", help="The key does not expire.")] = False,
    receipt: ReceiptOption = False,
) -> int:
    """Give a key a new lifetime, or none, and leave its value as it is.

    Exit code 1 when there is no such key.

    \b
    examples:
      kvstore touch session/7 --ttl 30m
      kvstore touch session/7 --no-ttl
    """
    return touch_key(options, key, ttl, no_ttl, receipt)
