"""What waits for the host's next round, and that the round comes."""

from __future__ import annotations

from collections.abc import Callable

from cluster.ids import GroupId
from kvstore.replica.participation import Participation
from kvstore.replica.replica import Replica


class Agenda:
    """See the module. However much comes in during one turn of the event loop, one round runs."""

    __slots__ = ("_call_soon", "_dirty", "_is_scheduled", "_participation", "_round")

    def __init__(
        self,
        participation: Participation,
        call_soon: Callable[[Callable[[], None]], object],
        round_: Callable[[], None],
    ) -> None:
        """`call_soon` runs a function once, later in this turn or in the next one."""
        self._participation = participation
        self._call_soon = call_soon
        self._round = round_
        self._is_scheduled = False
        # An ordered set: the order of work must not depend on hashes.
        self._dirty: dict[GroupId, Replica] = {}

    def touch(self, replica: Replica) -> None:
        """`replica` has something for the next round."""
        self._dirty[replica.group] = replica
        self.schedule()

    def schedule(self) -> None:
        """There is something for the next round, of no group in particular."""
        if not self._is_scheduled and not self._participation.is_over:
            self._is_scheduled = True
            self._call_soon(self._run)

    def take(self) -> dict[GroupId, Replica]:
        """The groups with something for this round; those touched from now on are for the next."""
        dirty, self._dirty = self._dirty, {}
        return dirty

    def _run(self) -> None:
        self._is_scheduled = False
        if not self._participation.is_over:
            with self._participation.guard:
                self._round()
