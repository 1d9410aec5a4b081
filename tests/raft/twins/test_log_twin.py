"""RaftLog against a list: what it holds, what is persisted, committed, handed out and applied."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cluster.ids import Index, Term
from cluster.raft import Configuration, Entry, MemoryLogStorage, SnapshotMeta
from cluster.raft.log import RaftLog
from tests.raft.solo import configuration, entry, membership_entry
from tests.raft.twins import LIVES
from tests.raft.twins.naive_log import NaiveLog, fitting

SMALL = st.integers(0, 30)
SIZES = st.integers(0, 12)
GROUPS = st.integers(1, 5).map(configuration)


class LogTwin(RuleBasedStateMachine):
    """One replica's log in any life that the core could give it."""

    def __init__(self) -> None:
        super().__init__()
        self.twin = NaiveLog(configuration(3))
        self.storage = MemoryLogStorage()
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

    @rule(ahead=st.integers(1, 6), group=GROUPS)
    def restore(self, ahead: int, group: Configuration) -> None:
        """A snapshot from a leader of a newer term: it matches nothing here."""
        self.term += 1
        index = Index(self.twin.commit + ahead)
        self.log.restore(SnapshotMeta(index, Term(self.term), group))
        self.twin.begin_anew(index, self.term, group)

    @rule(persisted=st.integers(0, 3), applied=st.integers(0, 6))
    def round(self, persisted: int, applied: int) -> None:
        """What a host does again and again: a bundle, the disk, the state machine."""
        self._hand_out()
        if persisted and self.twin.writes:
            self.persist(persisted)
        if not self.twin.is_installing:
            self._hand_out_committed(60)
            self.apply(applied)

    def _hand_out(self) -> None:
        """What a bundle takes, and what a host does with it at once."""
        self.number += 1
        twin = self.twin
        snapshot = self.log.hand_out_snapshot(self.number)
        assert snapshot == twin.snapshot
        if snapshot is not None:
            self.storage.install(snapshot.index, snapshot.term)
        entries = self.log.hand_out(self.number)
        assert list(entries) == twin.new
        self.storage.append(entries)
        twin.hand_out(self.number)

    @rule(index=SMALL)
    def commit(self, index: int) -> None:
        index %= len(self.twin.entries) + 1
        self.log.commit_to(Index(index))
        self.twin.commit = max(self.twin.commit, index)

    @precondition(lambda self: self.twin.snapshot is None)
    @rule(bytes_max=st.integers(1, 30))
    def hand_out_committed(self, bytes_max: int) -> None:
        self._hand_out_committed(bytes_max)

    def _hand_out_committed(self, bytes_max: int) -> None:
        expected = fitting(self.twin.ready_to_apply(), bytes_max)
        assert list(self.log.hand_out_committed(bytes_max)) == expected
        self.twin.handed_out += len(expected)

    # The host

    @precondition(lambda self: self.twin.writes)
    @rule(count=st.integers(1, 3))
    def persist(self, count: int) -> None:
        """One answer for several bundles, as they come."""
        done = [self.twin.write() for _ in range(min(count, len(self.twin.writes)))]
        self.log.on_persisted(done[-1].number)

    @precondition(lambda self: not self.twin.is_installing)
    @rule(count=st.integers(0, 5))
    def apply(self, count: int) -> None:
        self.twin.applied = min(self.twin.applied + count, self.twin.handed_out)
        self.log.on_applied(Index(self.twin.applied))

    @precondition(lambda self: self.twin.installed)
    @rule(back=SMALL)
    def say_late_that_it_was_applied(self, back: int) -> None:
        """A snapshot that covers it was installed since."""
        self.log.on_applied(Index(max(self.twin.installed - 1 - back, 0)))

    @precondition(lambda self: not self.twin.is_installing)
    @precondition(lambda self: self.twin.applied > self.twin.compacted)
    @rule(count=st.integers(1, 8))
    def compact(self, count: int) -> None:
        through = min(self.twin.compacted + count, self.twin.applied)
        self.twin.compacted = self.twin.disk_compacted = through
        self.storage.compact(Index(through))

    @rule(written=st.integers(0, 3), known=SMALL, replayed=SMALL)
    def lose_power(self, written: int, known: int, replayed: int) -> None:
        """What was not written is gone; commit and applied index may be older ones."""
        twin = self.twin
        for _ in range(min(written, len(twin.writes))):
            twin.write()
        commit = twin.start_again(known, replayed)
        self.storage = MemoryLogStorage()
        if twin.compacted:
            self.storage.install(Index(twin.compacted), Term(twin.term(twin.compacted)))
        self.storage.append(twin.entries[twin.compacted :])
        self.log = RaftLog(
            self.storage,
            commit=Index(commit),
            applied=Index(twin.applied),
            configuration=twin.group(twin.applied),
        )

    # Questions

    @precondition(lambda self: self.twin.snapshot is None)
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
        last = len(twin.entries)
        assert log.first_index() == twin.compacted + 1
        assert (log.last_index, log.last_term) == (last, twin.term(last))
        span = range(twin.compacted, last + 1)
        assert [log.term(i) for i in span] == [twin.term(i) for i in span]
        assert (log.commit, log.handed_out, log.applied) == (
            twin.commit,
            twin.handed_out,
            twin.applied,
        )
        assert log.persisted == twin.persisted
        assert log.is_installing is twin.is_installing
        assert log.has_unstable is bool(twin.new)
        assert log.has_committed is bool(twin.ready_to_apply())
        assert log.configurations.current == twin.group(last)
        if not twin.is_installing:
            assert log.configurations.at(twin.applied) == twin.group(twin.applied)


LogTwin.TestCase.settings = LIVES
TestLogTwin = LogTwin.TestCase
