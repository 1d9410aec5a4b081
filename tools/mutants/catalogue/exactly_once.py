"""Mistakes in the state machine's half of exactly-once writes, and in lifetimes."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_SESSIONS: Final = "kvstore/storage/sessions.py"
_CHANGES: Final = "kvstore/storage/changes.py"
_LIFETIMES: Final = "kvstore/replica/lifetimes.py"

EXACTLY_ONCE: Final = (
    Mutation(
        name="retry-applied-again",
        area=Area.STATE_MACHINE,
        mistake="A command that has a result is applied once more when it comes again.",
        seen="Ongaro's dissertation, 6.3: without sessions a command can be executed twice",
        path=_SESSIONS,
        old="""\
        if stamp.sequence in session.kept:
            return self._kept(stamp.client, stamp.sequence)
""",
        new="",
    ),
    Mutation(
        name="result-of-another-sequence",
        area=Area.STATE_MACHINE,
        mistake="Who asks again is given the last result of its session, not that of its command.",
        seen="sessions that keep one result, with clients that have many under way",
        path=_SESSIONS,
        old="""\
            return self._kept(stamp.client, stamp.sequence)
""",
        new="""\
            return self._kept(stamp.client, session.kept[-1])
""",
    ),
    Mutation(
        name="forgotten-session-opened-again",
        area=Area.STATE_MACHINE,
        mistake="A command of a session that is not there is taken for its first: after the session"
        " was forgotten it is applied a second time.",
        seen="Ongaro's dissertation, 6.3: a session that expired must not be opened again",
        path=_SESSIONS,
        old="""\
            if stamp.opened_after < self.forgotten_through:
                return encode_refusal(CommandOutcome.SESSION_UNKNOWN, applied)
""",
        new="",
    ),
    Mutation(
        name="forgotten-through-an-older-one",
        area=Area.STATE_MACHINE,
        mistake="It is the session's opening that counts when it is forgotten, not its last write:"
        " one that has written since can be opened again.",
        seen="expiry by the age of a session",
        path=_SESSIONS,
        old="""\
        self.forgotten_through = Index(max(self.forgotten_through, session.last_index))
""",
        new="""\
        self.forgotten_through = Index(max(self.forgotten_through, len(session.kept)))
""",
    ),
    Mutation(
        name="sessions-forgotten-by-the-round",
        area=Area.STATE_MACHINE,
        mistake="What is too much is forgotten once a round, not with each entry: replicas that cut"
        " their rounds elsewhere forget others.",
        seen="state machines whose batches are not those of their peers",
        path=_SESSIONS,
        old="""\
            if len(self._sessions) >= self._sessions_max:
""",
        new="""\
            while len(self._sessions) >= self._sessions_max and not self._fresh:
""",
    ),
    Mutation(
        name="results-that-are-gone-stay-on-disk",
        area=Area.STATE_MACHINE,
        mistake="Results below the lowest sequence go from memory alone: after a restart the"
        " session keeps them again.",
        seen="caches and tables that forget apart from each other",
        path=_SESSIONS,
        old="""\
            if self._fresh.pop((client, sequence), None) is None:
                self._gone.append((client, sequence))
""",
        new="""\
            self._fresh.pop((client, sequence), None)
""",
    ),
    Mutation(
        name="results-of-the-round-that-are-gone-are-written",
        area=Area.STATE_MACHINE,
        mistake="A result that came and went within one round is written: replicas that cut their"
        " rounds elsewhere come to other bytes.",
        seen="state machines whose batches are not those of their peers",
        path=_SESSIONS,
        old="""\
            if self._fresh.pop((client, sequence), None) is None:
                self._gone.append((client, sequence))
""",
        new="""\
            if (client, sequence) not in self._fresh:
                self._gone.append((client, sequence))
""",
    ),
    Mutation(
        name="session-forgotten-by-its-age",
        area=Area.STATE_MACHINE,
        mistake="The session that was opened first is forgotten first; after a restart it is the"
        " one that has not written for longest.",
        seen="state that is derived otherwise when it is loaded",
        path=_SESSIONS,
        old="""\
        session = self._sessions.pop(client, None)
        self._note(client, session)
        if session is None:
""",
        new="""\
        session = self._sessions.get(client)
        self._note(client, session)
        if session is None:
""",
    ),
    Mutation(
        name="sessions-kept-after-a-failed-write",
        area=Area.STATE_MACHINE,
        mistake="What a round did to the sessions stays when the engine refuses its batch: the"
        " commands are taken for applied when they come again.",
        seen="caches that are changed before the write",
        path=_SESSIONS,
        old="""\
        for client, session in self._undo.items():
            self._sessions.pop(client, None)
            if session is not None:
                self._sessions[client] = session
        self._in_order()
""",
        new="",
    ),
    Mutation(
        name="lowest-moved-back",
        area=Area.STATE_MACHINE,
        mistake="A late command brings an older lowest with it: sequences whose results are gone"
        " are applied again.",
        seen="messages that overtake each other",
        path=_SESSIONS,
        old="""\
        session.lowest = max(session.lowest, stamp.lowest)
        session.last_index = index
""",
        new="""\
        session.lowest = stamp.lowest
        session.last_index = index
""",
    ),
    Mutation(
        name="snapshot-without-sessions",
        area=Area.COMPACTION,
        mistake="A snapshot has the data and not what lies behind them: its taker knows no sessions"
        " and ends no keys.",
        seen="Ongaro's dissertation, 6.3: the sessions are part of the snapshot",
        path="kvstore/replica/state_sender.py",
        old="""\
        view = self._engine.view(prefix, replica_end(group, generation))
""",
        new="""\
        view = self._engine.view(prefix, min(prefix + b"\\x04", replica_end(group, generation)))
""",
    ),
    Mutation(
        name="sequence-given-again-once-settled",
        area=Area.CLIENTS,
        mistake="When nothing is open any more, a session begins again below: its next command gets"
        " the result of an old one, and is lost.",
        seen="Ongaro's dissertation, 6.3: serial numbers are unique",
        path="kvstore/client/session.py",
        old="""\
            self.open.pop(stamp.sequence, None)
""",
        new="""\
            self.open.pop(stamp.sequence, None)
            self._next_sequence = max(self.open, default=stamp.sequence - 1) + 1
""",
    ),
    Mutation(
        name="new-lifetime-ended-by-the-old",
        area=Area.STATE_MACHINE,
        mistake="The end of a lifetime ends the key also when it was given a new one since.",
        seen="Redis Cluster, memcached: touch that races with expiry",
        path=_CHANGES,
        old="""\
        if record is not None and record.expiry_ms == expiry_ms <= self.clock_ms:
""",
        new="""\
        if record is not None and expiry_ms <= self.clock_ms:
""",
    ),
    Mutation(
        name="clock-of-a-partition-goes-back",
        area=Area.STATE_MACHINE,
        mistake="The clock is what the last entry says, also when an earlier one said more.",
        seen="clocks of leaders that differ",
        path=_CHANGES,
        old="""\
            self.clock_ms = max(self.clock_ms, command.clock_ms)
        self._budget = WORK_BYTES_MAX
""",
        new="""\
            self.clock_ms = command.clock_ms
        self._budget = WORK_BYTES_MAX
""",
    ),
    Mutation(
        name="clock-of-a-leader-starts-at-zero",
        area=Area.HOST,
        mistake="Who begins to lead lets the clock begin anew, not from where the log left it: no"
        " key ends until it has caught up.",
        seen="etcd: leases that start over with a new leader",
        path=_LIFETIMES,
        old="""\
            if clock_ms >= stands_at_ms:
                return clock_ms
        # It has just begun to lead, or has applied what an earlier leader had put into the log.
        self._running[replica.group] = _Running(term, stands_at_ms, now_ms)
        return stands_at_ms
""",
        new="""\
            return clock_ms
        self._running[replica.group] = _Running(term, 0, now_ms)
        return 0
""",
    ),
    Mutation(
        name="clock-of-a-node-for-that-of-a-partition",
        area=Area.HOST,
        mistake="A leader takes its own clock for the partition's: with the next leader keys end"
        " early, or late.",
        seen="old leaders that expire leases",
        path=_LIFETIMES,
        old="""\
        self._running[replica.group] = _Running(term, stands_at_ms, now_ms)
        return stands_at_ms
""",
        new="""\
        return now_ms
""",
    ),
    Mutation(
        name="key-hidden-before-its-end-is-in-the-log",
        area=Area.HOST,
        mistake="A leader lets go of keys by its own clock, before the entry that ends them: with"
        " the next leader they come back.",
        seen="Redis: expired keys that a replica still shows",
        path=_LIFETIMES,
        old="""\
            due = state.expiries.due(clock_ms, room) if room else []
""",
        new="""\
            due = state.expiries.due(clock_ms, room) if room else []
            batch = state._engine.new_batch()
            for key, _ in due:
                batch.delete(state.data_prefix + key)
            state._engine.write(batch)
""",
    ),
    Mutation(
        name="lifetime-left-by-a-plain-put",
        area=Area.STATE_MACHINE,
        mistake="A plain put over a key with a lifetime leaves the record of its expiry, which is"
        " proposed to be ended for ever.",
        seen="an index that one of two ways of writing keeps up",
        path="kvstore/storage/applier.py",
        old="""\
            if expiry_ms:
                delete(expiry_key(self._state.expiries.prefix, expiry_ms, user_key))
""",
        new="",
    ),
)
