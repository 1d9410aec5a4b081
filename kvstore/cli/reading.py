"""get and scan, where they say how consistent to be, or want receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from kvstore.cli.operations import print_record, print_records
from kvstore.cli.receipts import Receipts
from kvstore.cli.session import Options, Output
from kvstore.cli.text import from_argument
from kvstore.errors import InvalidArgument

if TYPE_CHECKING:
    from kvstore.client import Answer, AsyncClient
    from kvstore.client.levels import Level
    from kvstore.codec.record import Record

ConsistencyOption = Annotated[
    str | None,
    typer.Option(metavar="LEVEL", help="linearizable, session or stale. [default linearizable]"),
]
StalenessOption = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="How old a stale answer may be.")
]
TokenOption = Annotated[
    str | None, typer.Option(metavar="TOKEN", help="Go on with the session of an earlier receipt.")
]
ReceiptOption = Annotated[
    bool, typer.Option("--receipt", help="Say by whom and from which state, to stderr or JSON.")
]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What reads take beside the shared options; None: not given."""

    consistency: str | None = None
    max_staleness_s: float | None = None
    token: str | None = None
    receipt: bool = False

    @property
    def are_given(self) -> bool:
        """Whether any is."""
        return self != ReadOptions()


def read_key(options: Options, key: str, how: ReadOptions) -> int:
    """Prints a key's value, and where it is from."""
    key_bytes = from_argument(key)
    level = level_of(how)
    receipts = Receipts(how.receipt)

    async def read(client: AsyncClient) -> Answer:
        await go_on(client, how)
        answer = await client.read(key_bytes, consistency=level)
        if receipts.taken is not None:
            receipts.taken.append(answer.receipt)
        return answer

    record = receipts.run(options, read).record
    if record is None and options.output is Output.JSON:
        receipts.say()
    return print_record(options, key_bytes, record, receipts.as_json())


def read_keys(options: Options, keys: Sequence[str], how: ReadOptions) -> int:
    """Prints the values of several keys; the answer is no where one does not exist."""
    wanted = list(dict.fromkeys(map(from_argument, keys)))
    level = level_of(how)
    receipts = Receipts(how.receipt)

    async def read(client: AsyncClient) -> dict[bytes, Record]:
        await go_on(client, how)
        return await client.get_many_records(wanted, consistency=level, receipts=receipts.taken)

    found = receipts.run(options, read, in_json=False)
    return print_records(options, wanted, found)


async def go_on(client: AsyncClient, how: ReadOptions) -> None:
    """With the session of the token that is given."""
    if how.token is not None:
        await client.merge_token(how.token)


def level_of(how: ReadOptions) -> Level:
    """The level that is asked for; raises InvalidArgument."""
    from kvstore.client import Consistency, Stale  # noqa: PLC0415 - not for --help

    stale = Consistency.STALE.value
    if how.max_staleness_s is not None:
        if how.consistency not in (None, stale):
            raise InvalidArgument(f"--max-staleness is for --consistency {stale} only")
        return Stale(how.max_staleness_s)
    if how.consistency == stale:
        raise InvalidArgument(f"--consistency {stale} needs --max-staleness SECONDS")
    if how.consistency is None:
        return Consistency.LINEARIZABLE if how.token is None else Consistency.SESSION
    return how.consistency
