"""The applied state of the meta group: one blob, the cluster's state, and what it is as of."""

from __future__ import annotations

from cluster.ids import META_GROUP, Index, Term
from kvstore.errors import InvariantViolation
from kvstore.storage.engine import Engine
from kvstore.storage.keys import Section, section_prefix
from kvstore.storage.position import encode_position, load_position


class MetaState:
    """Keeps the blob and the index it is as of; what is in the blob is not known here."""

    __slots__ = ("_blob_key", "_configuration_key", "_engine", "_state_key", "applied_index")

    def __init__(self, engine: Engine) -> None:
        position = load_position(engine, META_GROUP)
        generation = position.generation
        self._engine = engine
        self._state_key = section_prefix(META_GROUP, generation, Section.STATE)
        self._configuration_key = section_prefix(META_GROUP, generation, Section.CONFIGURATION)
        self._blob_key = section_prefix(META_GROUP, generation, Section.DATA)
        self.applied_index = position.applied_index
        """As of which the blob was last saved; 0: never."""

    def load(self) -> tuple[Index, bytes | None]:
        """The applied index and the blob; 0 and None before the first `save`."""
        return self.applied_index, self._engine.get_many([self._blob_key])[0]

    def save(self, index: Index, term: Term, blob: bytes, configuration: bytes | None) -> None:
        """Replaces the blob by the state as of `index`, whose entry is of `term`, atomically.

        `configuration`: the one that the entries up to there have changed to, encoded; None: it is
        as it was. Raises InvariantViolation unless `index` is above the applied one.
        """
        if index <= self.applied_index:
            raise InvariantViolation(
                f"the meta group's state of {index} comes after that of {self.applied_index}"
            )
        batch = self._engine.new_batch()
        batch.put(self._state_key, encode_position(index, 0, term))
        batch.put(self._blob_key, blob)
        if configuration is not None:
            batch.put(self._configuration_key, configuration)
        self._engine.write(batch)
        self.applied_index = index
