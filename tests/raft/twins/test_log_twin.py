"""RaftLog against a list: what it holds, what is persisted, committed, handed out and applied."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cluster.ids import Index, Term
from cluster.raft import Configuration, Entry, EntryKind, decode_configuration
from cluster.raft.log import RaftLog
from tests.raft.solo import CompactedStorage, configuration, entry, membership_entry
from tests.raft.twins import LIVES

SMALL = st.integers(0, 30)
SIZES = st.integers(0, 12)
GROUPS = st.integers(1, 5).map(configuration)


class NaiveLog:
    """All entries ever held, in a list; entry i is at i - 1. A disk that is another list.

    An entry is itself, not its index and term: what was overwritten and put back is another one.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.disk: list[Entry] = []
        self.writes: deque[tuple[int, list[Entry]]] = deque()
        self.new: list[Entry] = []
        """At the end of `entries`, not handed out."""
        self.compacted = 0
        self.commit = 0
        self.handed_out = 0
        self.applied = 0

    def take_over(self, entries: Sequence[Entry]) -> None:
        for at, one in enumerate(entries):
            held = self.entries[one.index - 1 : one.index]
            if not held or held[0].term != one.term:
                kept = self.entries[: one.index - 1]
                self.new = [e for e in self.new if e.index < one.index] + list(entries[at:])
                self.entries = kept + list(entries[at:])
                return

    def write(self, entries: list[Entry]) -> None:
        if entries:
            del self.disk[entries[0].index - 1 :]
            self.disk.extend(entries)

    @property
    def persisted(self) -> int:
        count = 0
        while count < min(len(self.disk), len(self.entries)) and (
            self.disk[count] is self.entries[count]
        ):
            count += 1
        return count

    def group(self, through: int) -> Configuration:
        """Who belongs to the group by the log up to `through`."""
        changes = [e for e in self.entries[:through] if e.kind is EntryKind.MEMBERSHIP]
        return decode_configuration(changes[-1].data) if changes else configuration(3)

    def ready_to_apply(self) -> list[Entry]:
        return self.entries[self.handed_out : min(self.commit, self.persisted)]

    def term(self, index: int) -> int:
        return self.entries[index - 1].term if index else 0


def fitting(entries: Sequence[Entry], bytes_max: int) -> list[Entry]:
    """As many as fit, at least one."""
    count = min(1, len(entries))
    while count < len(entries) and sum(len(e.data) for e in entries[: count + 1]) <= bytes_max:
        count += 1
    return list(entries[:count])


class LogTwin(RuleBasedStateMachine):
    """One replica's log in any life that the core could give it."""

    def __init__(self) -> None:
        super().__init__()
        self.twin = NaiveLog()
        self.storage = CompactedStorage()
        self.log = RaftLog(
            self.storage, commit=Index(0), applied=Index(0), configuration=configuration(3)
        )
        self.term = 1
        self.number = 0

    def new_entry(self, index: int, size: int) -> Entry:
        return entry(index, self.term, bytes(size))

    # The core

    @rule(size=SIZES)
    def append(self, size: int) -> None:
        one = self.new_entry(len(self.twin.entries) + 1, size)
        self.log.append(one)
        self.twin.take_over([one])

    @rule(group=GROUPS)
    def append_configuration(self, group: Configuration) -> None:
        one = self.log.append_configuration(Term(self.term), group)
        assert one == membership_entry(len(self.twin.entries) + 1, self.term, group)
        self.twin.take_over([one])

    @rule(
        start=SMALL,
        repeated=st.integers(0, 4),
        sizes=st.lists(SIZES, max_size=4),
        group=st.none() | GROUPS,
    )
    def merge(
        self, start: int, repeated: int, sizes: list[int], group: Configuration | None
    ) -> None:
        """A leader of a newer term sends some entries that are here, and some of its own."""
        held = self.twin.entries
        low = max(start % (len(held) + 1), self.twin.compacted)
        high = min(low + repeated, len(held))
        if sizes and high < self.twin.commit:
            sizes = []  # no leader contradicts what is committed
        self.term += 1
        entries = held[low:high] + [
            self.new_entry(high + 1 + i, size) for i, size in enumerate(sizes)
        ]
        if sizes and group is not None:
            entries.append(membership_entry(entries[-1].index + 1, self.term, group))
        self.log.merge(entries)
        self.twin.take_over(entries)

    @rule()
    def hand_out(self) -> None:
        self.number += 1
        entries = self.log.hand_out(self.number)
        self.storage.append(entries)
        assert list(entries) == self.twin.new
        self.twin.writes.append((self.number, self.twin.new))
        self.twin.new = []

    @rule(index=SMALL)
    def commit(self, index: int) -> None:
        index %= len(self.twin.entries) + 1
        self.log.commit_to(Index(index))
        self.twin.commit = max(self.twin.commit, index)

    @rule(bytes_max=st.integers(1, 30))
    def hand_out_committed(self, bytes_max: int) -> None:
        # As in the core: what the storage shows has no entries that are not handed out.
        expected = fitting(self.twin.ready_to_apply(), bytes_max)
        assert list(self.log.hand_out_committed(bytes_max)) == expected
        self.twin.handed_out += len(expected)

    # The host

    @precondition(lambda self: self.twin.writes)
    @rule(count=st.integers(1, 3))
    def persist(self, count: int) -> None:
        """One answer for several bundles, as they come."""
        number = 0
        for _ in range(min(count, len(self.twin.writes))):
            number, entries = self.twin.writes.popleft()
            self.twin.write(entries)
        self.log.on_persisted(number)

    @rule(count=st.integers(0, 5))
    def apply(self, count: int) -> None:
        self.twin.applied = min(self.twin.applied + count, self.twin.handed_out)
        self.log.on_applied(Index(self.twin.applied))

    @precondition(lambda self: self.twin.applied > self.twin.compacted)
    @rule(count=st.integers(1, 8))
    def compact(self, count: int) -> None:
        self.twin.compacted = min(self.twin.compacted + count, self.twin.applied)
        self.storage.compact(self.twin.compacted)

    @rule(written=st.integers(0, 3), known=SMALL, replayed=SMALL)
    def lose_power(self, written: int, known: int, replayed: int) -> None:
        """What was not written is gone; commit and applied index may be older ones."""
        twin = self.twin
        for _ in range(min(written, len(twin.writes))):
            twin.write(twin.writes.popleft()[1])
        twin.writes.clear()
        twin.new = []
        twin.entries = list(twin.disk)
        twin.applied = max(twin.applied - replayed, twin.compacted)
        hint = min(known, twin.commit, len(twin.disk))
        twin.commit = max(hint, twin.applied)
        twin.handed_out = twin.applied
        self.storage = CompactedStorage()
        self.storage.append(twin.disk)
        if twin.compacted:
            self.storage.compact(twin.compacted)
        self.log = RaftLog(
            self.storage,
            commit=Index(hint),
            applied=Index(twin.applied),
            configuration=twin.group(twin.applied),
        )

    # Questions

    @precondition(lambda self: len(self.twin.entries) > self.twin.compacted)
    @rule(low=SMALL, bytes_max=st.integers(1, 40))
    def entries(self, low: int, bytes_max: int) -> None:
        held = self.twin.entries
        low = self.twin.compacted + low % (len(held) - self.twin.compacted)
        assert list(self.log.entries(low + 1, bytes_max)) == fitting(held[low:], bytes_max)

    @rule(index=SMALL, term=SMALL, floor=SMALL)
    def last_that_could_match(self, index: int, term: int, floor: int) -> None:
        """Position by position, down to what is known."""
        twin = self.twin
        floor = max(floor % (len(twin.entries) + 1), twin.compacted)
        expected = min(index, len(twin.entries))
        while expected > floor and twin.term(expected) > term:
            expected -= 1
        assert self.log.last_that_could_match(index, term, floor) == max(expected, floor)

    @rule(index=SMALL, term=SMALL)
    def compare(self, index: int, term: int) -> None:
        held = self.twin.entries
        if index >= self.twin.compacted:
            here = index <= len(held) and self.twin.term(index) == term
            assert self.log.matches(index, term) is here
        last = self.twin.term(len(held))
        better = term > last or (term == last and index >= len(held))
        assert self.log.is_up_to_date(index, term) is better

    @invariant()
    def all_is_the_same(self) -> None:
        log, twin = self.log, self.twin
        assert log.first_index() == twin.compacted + 1
        assert (log.last_index, log.last_term) == (
            len(twin.entries),
            twin.term(len(twin.entries)),
        )
        span = range(twin.compacted, len(twin.entries) + 1)
        assert [log.term(i) for i in span] == [twin.term(i) for i in span]
        assert (log.commit, log.handed_out, log.applied) == (
            twin.commit,
            twin.handed_out,
            twin.applied,
        )
        assert log.persisted == twin.persisted
        assert log.configurations.current == twin.group(len(twin.entries))
        assert log.configurations.at(twin.applied) == twin.group(twin.applied)
        assert log.has_unstable is bool(twin.new)
        assert log.has_committed is bool(twin.ready_to_apply())


LogTwin.TestCase.settings = LIVES
TestLogTwin = LogTwin.TestCase
