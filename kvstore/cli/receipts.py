"""--receipt: by whom a command was answered, on standard error and in JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from kvstore.cli.printing import say
from kvstore.cli.session import Options, Output

if TYPE_CHECKING:
    from kvstore.client import AsyncClient, Receipt

T = TypeVar("T")

KEPT_MAX: Final = 4096
"""Of a long scan; more than the partitions of any cluster."""


class Receipts:
    """Those of one command, where they are wanted."""

    def __init__(self, wanted: bool) -> None:
        self.taken: list[Receipt] | None = [] if wanted else None
        """For the calls of the client to add to."""
        self._token = ""

    def run(
        self,
        options: Options,
        work: Callable[[AsyncClient], Awaitable[T]],
        *,
        in_json: bool = True,
    ) -> T:
        """Runs `work`, and says the receipts, but not where JSON will have them (`in_json`)."""

        async def noting(client: AsyncClient) -> T:
            try:
                return await work(client)
            finally:
                self._token = client.token()

        try:
            result = options.run(noting)
        except BaseException:
            self.say()
            raise
        if options.output is not Output.JSON or not in_json:
            self.say()
        return result

    def as_json(self) -> dict[str, object]:
        """What an object of JSON has beside the rest."""
        if self.taken is None:
            return {}
        return {"receipt": as_json(self.taken[-1], self._token) if self.taken else None}

    def say(self) -> None:
        """The last one of each partition, and once the token."""
        if not self.taken:
            return
        *before, last = self._last()
        for each in before:
            _say_one(as_json(each))
        _say_one(as_json(last, self._token))

    def shorten(self) -> None:
        """Forgets all but the last one of each partition, when there are many."""
        if self.taken is not None and len(self.taken) > KEPT_MAX:
            self.taken[:] = self._last()

    def _last(self) -> list[Receipt]:
        last = {each.partition: each for each in self.taken or ()}
        return [last[partition] for partition in sorted(last)]


def as_json(receipt: Receipt, token: str | None = None) -> dict[str, object]:
    """A receipt, and the token of the session that it belongs to."""
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
    if token is not None:
        said["token"] = token
    return said


def _say_one(said: dict[str, object]) -> None:
    say("receipt: " + ", ".join(f"{name} {value}" for name, value in said.items()))
