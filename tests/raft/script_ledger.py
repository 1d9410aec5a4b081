"""What must hold in every script, whatever it says it prints."""

from __future__ import annotations

from cluster.ids import Index, ReplicaId, Term
from cluster.raft import Entry, Raft, Ready, Role
from tests.raft.script_print import log_positions


class Ledger:
    """What must hold across replicas (dissertation figure 3.2). Raises AssertionError."""

    def __init__(self) -> None:
        self._leaders: dict[Term, ReplicaId] = {}
        self._committed: dict[Index, tuple[Entry, Term]] = {}
        """By index: the entry, and a term in which it was known to be committed."""

    def see(self, replica: ReplicaId, raft: Raft, bundle: Ready) -> None:
        """Election safety, leader completeness and state machine safety."""
        if bundle.role is Role.LEADER:
            known = self._leaders.setdefault(bundle.term, replica)
            assert known == replica, f"{known} and {replica} both lead term {bundle.term}"
            held = dict(log_positions(raft))
            for index, (entry, term) in self._committed.items():
                lost = term < bundle.term and held.get(index, entry.term) != entry.term
                missing = term < bundle.term and index > raft.last_index
                assert not lost, f"{replica} leads term {bundle.term} with another entry at {index}"
                assert not missing, f"{replica} leads term {bundle.term} without entry {index}"
        snapshot = bundle.snapshot
        if snapshot is not None and snapshot.index in self._committed:
            covered, _ = self._committed[snapshot.index]
            assert covered.term == snapshot.term, f"{replica} installs another entry {covered}"
        for entry in bundle.committed:
            known_entry, _ = self._committed.setdefault(entry.index, (entry, bundle.term))
            assert known_entry == entry, f"{replica} applies another entry at {entry.index}"
