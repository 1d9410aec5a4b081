"""The meta group's state machine: the cluster map, kept in the engine."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.errors import InvariantViolation
from cluster.ids import Index
from cluster.partition.map import ClusterMap
from cluster.partition.meta import apply
from cluster.raft.messages import Entry, EntryKind
from kvstore.codec.byteslist import CodecError
from kvstore.codec.meta import decode_map, decode_meta_command, encode_map
from kvstore.codec.scrub import is_mark
from kvstore.storage.applier import latest_configuration
from kvstore.storage.engine import Engine
from kvstore.storage.meta_state import MetaState


class MetaMachine:
    """Applies the meta group's entries; `map` is None before the cluster was bootstrapped."""

    __slots__ = ("_engine", "_state", "applied_index", "map")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.reload()

    def reload(self) -> None:
        """Reads anew what is there: another generation may have become the current one."""
        self._state = MetaState(self._engine)
        applied, blob = self._state.load()
        self.applied_index = Index(applied)
        self.map: ClusterMap | None = decode_map(blob) if blob else None

    def apply(self, entries: Sequence[Entry]) -> bool:
        """Applies `entries`, which follow the applied index; says whether the map changed.

        Raises what the engine raises: then nothing was applied."""
        cluster_map = self.map
        applied_index = self.applied_index
        for entry in entries:
            if entry.index != applied_index + 1:
                raise InvariantViolation(f"meta entry {entry.index} applied after {applied_index}")
            applied_index = entry.index
            if entry.data and entry.kind is EntryKind.NORMAL and not is_mark(entry):
                cluster_map = self._apply_command(cluster_map, entry)
        # Empty: applied, but the cluster has not begun.
        blob = encode_map(cluster_map) if cluster_map else b""
        configuration = latest_configuration(entries)
        self._state.save(applied_index, entries[-1].term, blob, configuration)
        self.applied_index = applied_index
        changed = cluster_map is not self.map
        self.map = cluster_map
        return changed

    @staticmethod
    def _apply_command(cluster_map: ClusterMap | None, entry: Entry) -> ClusterMap | None:
        try:
            command = decode_meta_command(entry.data)
        except CodecError as problem:
            # Only a leader proposes here, and it encodes what it proposes.
            raise InvariantViolation(f"meta entry {entry.index} is no command") from problem
        return apply(cluster_map, command).state
