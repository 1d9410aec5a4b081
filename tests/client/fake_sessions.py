"""The state machine's half of exactly-once writes, as it is promised (docs/exactly-once.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kvstore.codec.command import Stamp
from kvstore.codec.results import CommandOutcome, encode_refusal

WINDOW = 256


@dataclass
class FakeSession:
    lowest: int = 1
    results: dict[int, bytes] = field(default_factory=dict)
    active_at: int = 0


@dataclass
class FakeSessions:
    """Of one partition. `applied` has every stamp under which something was applied, in order."""

    by_client: dict[bytes, FakeSession] = field(default_factory=dict)
    forgotten_at: int = 0
    applied: list[Stamp] = field(default_factory=list)
    repeated: int = 0
    """How often a result was given again."""

    def apply(self, stamp: Stamp | None, index: int, do: Callable[[], bytes]) -> bytes:
        """The result of the command of `stamp` at `index`; calls `do` at most once for a stamp."""
        if stamp is None:
            return do()
        session = self.by_client.get(stamp.client)
        if session is None:
            if stamp.opened_after < self.forgotten_at:
                return encode_refusal(CommandOutcome.SESSION_UNKNOWN, index)
            session = self.by_client[stamp.client] = FakeSession()
        session.active_at = index
        session.lowest = max(session.lowest, stamp.lowest)
        for sequence in [each for each in session.results if each < session.lowest]:
            del session.results[sequence]
        if stamp.sequence < session.lowest:
            return encode_refusal(CommandOutcome.FORGOTTEN, index)
        known = session.results.get(stamp.sequence)
        if known is not None:
            self.repeated += 1
            return known
        if stamp.sequence >= session.lowest + WINDOW:
            return encode_refusal(CommandOutcome.WINDOW_FULL, index)
        self.applied.append(stamp)
        result = session.results[stamp.sequence] = do()
        return result

    def forget(self) -> None:
        """Forgets all sessions."""
        for session in self.by_client.values():
            self.forgotten_at = max(self.forgotten_at, session.active_at)
        self.by_client.clear()
