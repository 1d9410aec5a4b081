"""What each command of a script does; script_runner.py describes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from cluster.ids import Index, ReplicaId, Term
from cluster.raft import (
    Configuration,
    Entry,
    EntryKind,
    HardState,
    LeaseConfig,
    MembershipChange,
    Raft,
)
from tests.raft.script_file import ScriptError, Words
from tests.raft.script_member import Member
from tests.raft.script_print import message_line, status_lines
from tests.raft.script_world import World

TICK_US = 1000


class Commands:
    """One run of one script: each command is a method."""

    def __init__(self) -> None:
        self.world = World()
        self._commands: dict[str, Callable[[Words], None]] = {
            "config": self._config,
            "leases": self._leases,
            "group": self._group,
            "add": self._add,
            "crash": self._crash,
            "restart": self._restart,
            "timeout": self._timeout,
            "tick": self._tick,
            "pause": self._pause,
            "campaign": self._campaign,
            "elect": self._elect,
            "propose": self._propose,
            "read": self._read,
            "change": self._change,
            "transfer": self._transfer,
            "wake": self._wake,
            "ready": self._ready,
            "persist": self._persist,
            "apply": self._apply,
            "compact": self._compact,
            "deliver": self._deliver,
            "fail": self._fail,
            "drop": self._drop,
            "duplicate": self._duplicate,
            "postpone": self._postpone,
            "network": self._network,
            "cut": self._cut,
            "heal": self._heal,
            "status": self._status,
            "stabilize": self._stabilize,
            "elapse": self._elapse,
        }

    def run(self, text: str) -> list[str]:
        """What one command prints. Raises ScriptError if it makes no sense here."""
        self.world.lines = []
        silent = text.startswith("silently ")
        words = Words(text.removeprefix("silently "))
        command = self._commands.get(words.verb)
        if command is None:
            raise ScriptError(f"there is no command {words.verb!r}")
        command(words)
        words.finish()
        return [] if silent else self.world.lines

    # The group

    def _config(self, words: Words) -> None:
        fields: dict[str, Any] = dict(words.all_named())
        try:
            self.world.config = replace(self.world.config, **fields)
        except (TypeError, ValueError) as error:
            raise ScriptError(f"config: {error}") from None

    def _leases(self, words: Words) -> None:
        drift_ppm = words.number("drift_ppm") or 0
        self.world.config = replace(
            self.world.config, lease=LeaseConfig(tick_us=TICK_US, drift_ppm=drift_ppm)
        )

    def _group(self, words: Words) -> None:
        learners = words.span(words.named("learners") or "")
        self.world.configuration = Configuration(
            frozenset(words.replicas()), learners=frozenset(learners)
        )

    def _add(self, words: Words) -> None:
        world = self.world
        terms = words.terms("log") or []
        term = words.number("term")
        vote = words.number("vote")
        state = HardState(
            Term(max(terms, default=0) if term is None else term),
            None if vote is None else ReplicaId(vote),
            Index(words.number("commit") or 0),
        )
        applied = Index(words.number("applied") or 0)
        group = Configuration() if words.flag("joining") else world.configuration
        if group is None:
            raise ScriptError("add: no group was given")
        for replica in words.replicas():
            if replica in world.members:
                raise ScriptError(f"add: replica {replica} is there")
            member = Member(replica, group)
            member.disk.configurations = [(Index(0), group)]
            member.timeouts.extra = replica - 1
            member.disk.applied = applied
            member.disk.storage.append(
                [Entry(Index(i), Term(of), EntryKind.NORMAL, b"") for i, of in enumerate(terms, 1)]
            )
            world.members[replica] = member
            world.restart(replica, state)

    def _crash(self, words: Words) -> None:
        self.world.crash(words.replica(), through=words.number("wrote") or 0)

    def _restart(self, words: Words) -> None:
        disk = self.world.member(replica := words.replica()).disk
        applied = words.number("applied")
        if applied is not None:
            disk.go_back(Index(applied))
        self.world.restart(replica, disk.synced if words.flag("synced") else disk.hard_state)

    # Time and wishes

    def _timeout(self, words: Words) -> None:
        timeouts = self.world.member(words.replica()).timeouts
        timeouts.extra = int(words.next("ticks")) - self.world.config.election_ticks_min

    def _tick(self, words: Words) -> None:
        times = words.times() or 1
        replicas = words.replicas() or self.world.running()
        for replica in replicas:
            self.world.tick(replica, times)

    def _pause(self, words: Words) -> None:
        ticks = int(words.next("ticks"))
        for replica in words.replicas():
            self.world.member(replica).now_us += ticks * self.world.tick_us

    def _campaign(self, words: Words) -> None:
        self.world.campaign(words.replica())

    def _elect(self, words: Words) -> None:
        replica = words.replica()
        self.world.elect(replica, words.replicas() or self.world.running())

    def _propose(self, words: Words) -> None:
        replica, size = words.replica(), words.number("bytes") or 0
        for data in words.rest():
            payload = data.encode().ljust(size, b".")
            self.world.act(replica, partial(Raft.propose, data=payload))

    def _read(self, words: Words) -> None:
        replica = words.replica()
        for word in words.rest():
            now_us = self.world.member(replica).now_us
            read = partial(Raft.read_index, context=int(word), now_us=now_us)
            self.world.act(replica, read)

    def _change(self, words: Words) -> None:
        replica = words.replica()
        change = MembershipChange(
            frozenset(words.span(words.named("voters") or "")),
            frozenset(words.span(words.named("learners") or "")),
        )
        self.world.act(replica, partial(Raft.propose_membership, change=change))

    def _transfer(self, words: Words) -> None:
        replica, to = words.replica(), words.replica()
        self.world.act(replica, partial(Raft.transfer_leadership, to=to))

    def _wake(self, words: Words) -> None:
        silent = words.number("silent") or 0
        self.world.act(words.replica(), partial(Raft.wake, silent_ticks=silent))

    # The host

    def _ready(self, words: Words) -> None:
        for replica in words.replicas():
            self.world.take(replica)

    def _persist(self, words: Words) -> None:
        through = words.number("bundle")
        for replica in words.replicas():
            self.world.persist(replica, through)

    def _apply(self, words: Words) -> None:
        through = words.number("through")
        for replica in words.replicas():
            self.world.apply(replica, through)

    def _compact(self, words: Words) -> None:
        self.world.compact(words.replica(), Index(int(words.next("an index"))))

    # The network

    def _deliver(self, words: Words) -> None:
        for message in self.world.network.chosen(words, deliverable=True):
            self.world.deliver(message)

    def _fail(self, words: Words) -> None:
        for message in self.world.network.chosen(words):
            self.world.fail(message)

    def _drop(self, words: Words) -> None:
        for message in self.world.network.chosen(words):
            self.world.network.take(message)
            self.world.say(f"lost {message_line(message)}")

    def _duplicate(self, words: Words) -> None:
        for message in self.world.network.chosen(words):
            self.world.network.messages.append(replace(message))

    def _postpone(self, words: Words) -> None:
        for message in self.world.network.chosen(words):
            self.world.network.messages.append(self.world.network.take(message))

    def _network(self, words: Words) -> None:
        for message in self.world.network.messages:
            waits = " (the link is cut)" if self.world.network.is_cut(message) else ""
            self.world.say(message_line(message) + waits)

    def _cut(self, words: Words) -> None:
        self.world.network.cut(words, self.world.members)

    def _heal(self, words: Words) -> None:
        self.world.network.heal()

    # Looking, and all at once

    def _status(self, words: Words) -> None:
        for replica in words.replicas() or sorted(self.world.members):
            member = self.world.member(replica)
            if member.raft is None:
                self.world.say(f"{replica} is down")
                continue
            for line in status_lines(member.raft, member.began_with):
                self.world.say(line)

    def _stabilize(self, words: Words) -> None:
        self.world.stabilize(words.replicas() or self.world.running())

    def _elapse(self, words: Words) -> None:
        ticks = int(words.next("ticks"))
        replicas = words.replicas() or self.world.running()
        for _ in range(ticks):
            for replica in replicas:
                self.world.tick(replica)
            self.world.stabilize(replicas)
