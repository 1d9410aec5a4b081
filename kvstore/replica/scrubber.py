"""Scrubs: the replicas of a group compare hashes of their states at the same applied index.

```
 leader        mark ──▶ log                        hashes ──▶ verdict (cluster/scrub.py)
                                                   ▲               │
 each replica  mark applied ──▶ engine view ──▶ hash, at a pace    └──▶ those named: quarantine
```

A mark that is applied opens a view of the state of exactly its index: the host applies up to the
mark, and only then what follows. Only a mark of the leader that still leads, applied the first time
that it can be, is answered: one that a start or a late follower comes across opens nothing.

A replica that is named does not go on: its state is put into quarantine, durably, and the node
stops at once, so that nothing of it is read, sent or voted with any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from cluster.ids import META_GROUP, GroupId, Index, ReplicaId, Term, partition_of
from cluster.raft.messages import Entry
from cluster.scrub import Outcome
from kvstore.codec.scrub import ScrubHash, ScrubReply, is_at_full_pace, is_mark
from kvstore.errors import CorruptionError, KVStoreError
from kvstore.replica.admission import Admission
from kvstore.replica.replica import Replica
from kvstore.replica.scrub_rounds import ScrubResult, ScrubRounds
from kvstore.replica.state_hasher import Pace, Reading, StateHasher
from kvstore.storage.engine import Engine
from kvstore.storage.position import load_generation
from kvstore.storage.quarantine import quarantine

READINGS_MAX: Final = 16
"""Views that are open at a time: each keeps files of the engine from being deleted."""
RESEND_TICKS: Final = 10
ASK_TICKS: Final = 100
"""Between two questions after a verdict that is late."""
SILENCE_TICKS_MAX: Final = 1000
"""After which an answer that nobody takes is forgotten."""

_log = structlog.get_logger("kvstore.scrub")


@dataclass(frozen=True, slots=True)
class ScrubPolicy:
    """How often and how fast; times in ticks. See NodeSettings."""

    interval_ticks: int = 432_000
    bytes_per_tick: int = 52_428
    """0: only what is asked for is scrubbed."""
    full_bytes_per_tick: int = 419_430
    """For what is asked for."""
    hurry_ticks: int = 36_000
    """After each of which a reading that is not done goes on twice as fast, up to the full pace."""
    reading_ticks_max: int = 288_000
    """After which a reading is given up."""


@dataclass(slots=True)
class ScrubRecord:
    """The last scrub of one group whose end this node has heard of."""

    term: Term
    index: Index
    outcome: Outcome
    tick: int


class Scrubber:
    """See the module."""

    def __init__(
        self,
        *,
        me: ReplicaId,
        policy: ScrubPolicy,
        within_ticks: int,
        engine: Engine,
        replicas: Mapping[GroupId, Replica],
        admission: Admission,
        say: Callable[[GroupId, ScrubHash | ScrubReply], None],
        touch: Callable[[Replica], None],
        leave: Callable[[BaseException], None],
    ) -> None:
        """`touch` marks a replica whose core has work; `leave` ends the node's part, at once."""
        self._me = me
        self._policy = policy
        self._engine = engine
        self._replicas = replicas
        self._say = say
        self._leave = leave
        self._pace = Pace(policy.bytes_per_tick, policy.full_bytes_per_tick, policy.hurry_ticks)
        self._readings: dict[GroupId, Reading] = {}
        self._old: dict[GroupId, Index] = {}
        self._ticks = 0
        self.rounds: Final = ScrubRounds(
            me=me,
            interval_ticks=policy.interval_ticks if policy.bytes_per_tick else None,
            within_ticks=within_ticks,
            replicas=replicas,
            admission=admission,
            say=say,
            touch=touch,
            decided=self._on_decided,
        )
        self.records: Final[dict[GroupId, ScrubRecord]] = {}
        self.ended = 0
        """Scrubs that this node has heard the end of."""
        self.mismatches = 0
        """Those of them that found one."""

    @property
    def readings(self) -> int:
        """How many views are open."""
        return sum([reading.hash is None for reading in self._readings.values()])

    @property
    def agreed(self) -> int:
        """Groups whose last scrub all members agreed in."""
        return sum(record.outcome is Outcome.AGREED for record in self.records.values())

    @property
    def ticks_since_last(self) -> int | None:
        """Since the last scrub whose end this node has heard of; None where there was none."""
        last = max((record.tick for record in self.records.values()), default=None)
        return None if last is None else self._ticks - last

    def age_ticks(self, record: ScrubRecord) -> int:
        """Since that scrub ended."""
        return self._ticks - record.tick

    def add_replica(self, replica: Replica) -> None:
        """Takes up `replica`: what its log holds already is old."""
        self._old[replica.group] = replica.core.last_index

    def on_applied(self, replica: Replica, entry: Entry) -> None:
        """`entry` was applied, and nothing after it."""
        if is_mark(entry):
            self._open(replica, entry)

    def receive(self, group: GroupId, message: ScrubHash | ScrubReply) -> None:
        """Takes what another node says of a scrub."""
        if group not in self._replicas:
            return
        if isinstance(message, ScrubHash):
            self.rounds.on_hash(group, message)
        else:
            self._on_reply(group, message)

    def tick(self) -> None:
        """Time passes."""
        self._ticks += 1
        if self._readings:
            self._read()
            self._ask_again()
        self.rounds.tick()

    def close(self) -> None:
        """Lets go of all views."""
        for group in list(self._readings):
            self._drop(group)

    # This replica's own state

    def _open(self, replica: Replica, entry: Entry) -> None:
        """Opens a view as of `entry`, a mark, if somebody waits for it."""
        group = replica.group
        if entry.index <= self._old[group] or entry.term != replica.core.term:
            return
        at_full_pace = is_at_full_pace(entry.data)
        self._drop(group)
        if (not self._policy.bytes_per_tick and not at_full_pace) or self.readings >= READINGS_MAX:
            self.rounds.give_up(group)
            return
        try:
            generation = load_generation(self._engine, group).number
            hasher = StateHasher(self._engine, group, generation)
        except CorruptionError as problem:
            self._on_unreadable(group, entry.term, entry.index, problem)
            return
        self._readings[group] = Reading(entry.term, entry.index, at_full_pace, hasher)

    def _read(self) -> None:
        for group, reading in list(self._readings.items()):
            reading.age_ticks += 1
            if reading.hash is None and reading.age_ticks >= self._policy.reading_ticks_max:
                _log.warning("scrub given up: it takes too long at this pace", of=_name(group))
                self._drop(group)
                self.rounds.give_up(group)
        try:
            whole = self._pace.tick(self._readings.values())
        except CorruptionError as problem:
            group, reading = self._first_unread()
            self._on_unreadable(group, reading.term, reading.index, problem)
            return
        for group, reading in list(self._readings.items()):
            if any(reading is each for each in whole):
                self._report(group, reading)

    def _report(self, group: GroupId, reading: Reading) -> None:
        """Says what was read to whoever leads in the mark's term."""
        core = self._replicas[group].core
        if core.term != reading.term or core.leader is None:
            return
        message = ScrubHash(self._me, core.leader, reading.term, reading.index, reading.hash)
        if core.leader == self._me:
            self.rounds.on_hash(group, message)
        else:
            self._say(group, message)

    def _ask_again(self) -> None:
        for group, reading in list(self._readings.items()):
            if self._replicas[group].core.term != reading.term:
                self._drop(group)
            elif reading.hash is not None:
                reading.silent_ticks += 1
                if reading.silent_ticks >= SILENCE_TICKS_MAX:
                    self._drop(group)
                elif reading.silent_ticks % (ASK_TICKS if reading.is_heard else RESEND_TICKS) == 0:
                    self._report(group, reading)

    def _drop(self, group: GroupId) -> None:
        reading = self._readings.pop(group, None)
        if reading is not None:
            reading.hasher.close()

    # What comes of it

    def _on_reply(self, group: GroupId, reply: ScrubReply) -> None:
        own = self._readings.get(group)
        if own is not None and (own.term, own.index) != (reply.term, reply.index):
            own = None
        if reply.outcome is Outcome.PENDING:
            if own is not None:
                own.is_heard = True
            return
        if own is not None:
            self._drop(group)
        if reply.outcome is Outcome.FORGOTTEN:
            return
        self._record(group, reply.term, reply.index, reply.outcome)
        if own is not None and reply.is_named and reply.outcome is Outcome.DIVERGED:
            self._on_named(group, reply.index, own.hash, reply.hash)

    def _on_decided(self, replica: Replica, result: ScrubResult) -> None:
        group, found = replica.group, result.verdict
        self._record(group, result.term, result.index, found.outcome)
        self._drop(group)
        details = {
            "of": _name(group),
            "index": result.index,
            "hashes": {member: _hex(value) for member, value in result.hashes.items()},
        }
        if found.outcome is Outcome.DIVERGED:
            _log.error("scrub: replicas have a damaged state", named=found.named, **details)
        elif found.outcome is Outcome.UNDECIDED:
            _log.critical("scrub: states differ, and none has a majority", **details)
        if found.outcome is Outcome.DIVERGED and self._me in found.named:
            self._on_named(group, result.index, result.hashes[self._me], found.hash)

    def _record(self, group: GroupId, term: Term, index: Index, outcome: Outcome) -> None:
        last = self.records.get(group)
        if last is not None and (last.term, last.index) >= (term, index):
            return
        self.records[group] = ScrubRecord(term, index, outcome, self._ticks)
        self.ended += 1
        self.mismatches += outcome.is_mismatch
        self.rounds.heard(group)

    def _on_named(self, group: GroupId, index: Index, own: int | None, right: int | None) -> None:
        """This replica has another state than the majority. One that could not read its own has
        left already."""
        if own is not None and right is not None and own != right:
            self._quarantine(
                group,
                f"a scrub has found the state of {_name(group)} on replica {self._me} damaged: at"
                f" index {index} it has hash {_hex(own)}, and a majority has {_hex(right)}",
            )

    def _on_unreadable(
        self, group: GroupId, term: Term, index: Index, problem: CorruptionError
    ) -> None:
        self._drop(group)
        core = self._replicas[group].core
        if core.term == term and core.leader is not None:
            message = ScrubHash(self._me, core.leader, term, index, None)
            if core.leader == self._me:
                self.rounds.on_hash(group, message)
            else:
                self._say(group, message)
        self._quarantine(
            group,
            f"a scrub could not read the state of {_name(group)} on replica {self._me} at index"
            f" {index}: {problem}",
        )

    def _first_unread(self) -> tuple[GroupId, Reading]:
        """What was being read when the engine failed."""
        unread = [each for each in self._readings.items() if each[1].hash is None]
        hurried = [each for each in unread if each[1].at_full_pace]
        return (hurried or unread)[0]

    def _quarantine(self, group: GroupId, reason: str) -> None:
        # The engine may be too damaged to keep it, or full; the node stops all the same.
        with contextlib.suppress(KVStoreError, OSError):
            quarantine(self._engine, group, reason)
        self._leave(CorruptionError(reason))


def _name(group: GroupId) -> str:
    return "the meta group" if group == META_GROUP else f"partition {partition_of(group)}"


def _hex(value: int | None) -> str:
    return "none" if value is None else f"{value:016x}"
