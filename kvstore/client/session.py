"""The session of this client in one partition: what makes a write that is sent again apply once.

Each section of writes that is sent gets a *stamp* (`codec/command.py`) and keeps it: the partition
keeps the result under it, and answers the same stamp with the same result. So a stamp must never
name two different commands: a sequence is given once, also when nothing came of it.
"""

from __future__ import annotations

from random import Random
from typing import Final

from kvstore.client.operations import WriteSection
from kvstore.codec.command import CLIENT_ID_BYTES, Stamp

OPEN_SEQUENCES_MAX: Final = 128
"""From the lowest that is open to the highest that was given: what the partition has to keep of
this client. It refuses twice as many."""


class Session:
    """An identity of chance, the sequences that it has given, and which of them are open."""

    __slots__ = ("_next_sequence", "client", "open", "opened_after")

    def __init__(self, random: Random, opened_after: int = 0) -> None:
        self.client = random.randbytes(CLIENT_ID_BYTES)
        self.opened_after = opened_after
        """An index that the partition had applied before; 0: nothing is known."""
        self.open: dict[int, WriteSection] = {}
        """Those that are not settled, by sequence; rising, as they were given."""
        self._next_sequence = 1

    def __repr__(self) -> str:
        return f"<Session {self.client.hex()}: {len(self.open)} open below {self._next_sequence}>"

    @property
    def is_new(self) -> bool:
        """Whether it has given no sequence yet."""
        return self._next_sequence == 1

    @property
    def lowest(self) -> int:
        """The lowest sequence that is open; the next one where none is."""
        return next(iter(self.open), self._next_sequence)

    @property
    def oldest(self) -> WriteSection | None:
        """The section that has the lowest open sequence."""
        return next(iter(self.open.values()), None)

    def has_room(self) -> bool:
        """Whether another sequence may be given."""
        return self._next_sequence - self.lowest < OPEN_SEQUENCES_MAX

    def seal(self, section: WriteSection) -> None:
        """Gives `section` its stamp: it is going to be sent."""
        sequence = self._next_sequence
        self._next_sequence += 1
        self.open[sequence] = section
        section.seal(Stamp(self.client, sequence, self.lowest, self.opened_after))

    def settle(self, stamp: Stamp) -> None:
        """Nobody will ask for the result under `stamp` any more."""
        if stamp.client == self.client:
            self.open.pop(stamp.sequence, None)
