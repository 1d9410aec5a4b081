"""get, where it says how consistent to be, or wants a receipt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvstore.cli.operations import print_record
from kvstore.cli.printing import say
from kvstore.cli.session import Options, Output
from kvstore.cli.text import from_argument
from kvstore.errors import InvalidArgument

if TYPE_CHECKING:
    from kvstore.client import Answer, AsyncClient, Receipt
    from kvstore.client.levels import Level


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What get takes beside the shared options; None: not given."""

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
    level = _level(how)

    async def read(client: AsyncClient) -> tuple[Answer, str]:
        if how.token is not None:
            await client.merge_token(how.token)
        answer = await client.read(key_bytes, consistency=level)
        return answer, client.token()

    answer, token = options.run(read)
    receipt = None
    if how.receipt:
        receipt = _as_json(answer.receipt, token)
        if options.output is not Output.JSON or answer.record is None:
            said = ", ".join(f"{name} {value}" for name, value in receipt.items())
            say(f"receipt: {said}")
    return print_record(options, key_bytes, answer.record, receipt)


def _level(how: ReadOptions) -> Level:
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


def _as_json(receipt: Receipt, token: str) -> dict[str, object]:
    said: dict[str, object] = {
        "node": receipt.node,
        "partition": receipt.partition,
        "term": receipt.term,
        "revision": receipt.revision,
        "index": receipt.index,
        "level": receipt.level.value,
    }
    if receipt.age_s is not None:
        said["age_s"] = receipt.age_s
    said["token"] = token
    return said
