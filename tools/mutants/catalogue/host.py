"""Mistakes in the host: what a client is told of a write, and what goes out before its time."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_ADMISSION: Final = "kvstore/replica/admission.py"
_BUNDLES: Final = "kvstore/replica/bundles.py"
_INTAKE: Final = "kvstore/replica/intake.py"
_REPLICA: Final = "kvstore/replica/replica.py"
_WAKE: Final = "kvstore/replica/wake_groups.py"

HOST: Final = (
    Mutation(
        name="lost-place-answered-ok",
        area=Area.HOST,
        mistake="A write is answered as done by whatever entry is applied at its place.",
        seen="dissertation 6.3; the check of the term that every state machine loop needs",
        path=_REPLICA,
        old="""\
        if term == entry.term:
            revision = 0 if self.state is None else self.state.revision
""",
        new="""\
        if term <= entry.term:
            revision = 0 if self.state is None else self.state.revision
""",
    ),
    Mutation(
        name="lost-leadership-is-definite",
        area=Area.HOST,
        mistake="Writes that were proposed are refused as not applied when leadership is lost.",
        seen="Jepsen: definite errors that are not",
        path=_REPLICA,
        old="""\
        self.refuse_waiting(Answer(Status.NOT_LEADER, leader=ready.leader))
        return [request for _term, request in self._proposed.values()]
""",
        new="""\
        self.refuse_waiting(Answer(Status.NOT_LEADER, leader=ready.leader))
        for _term, request in self._proposed.values():
            request.settle(Answer(Status.NOT_LEADER, leader=ready.leader))
        return []
""",
    ),
    Mutation(
        name="proposed-again-is-definite",
        area=Area.HOST,
        mistake="A write of an earlier leadership whose place is taken by a proposal of this one is"
        " refused as not applied; another replica may still hold it and win.",
        seen="dissertation 3.6.2, figure 3.7: an old entry may come back",
        path=_REPLICA,
        old="""\
            earlier[1].settle(UNSETTLED)
""",
        new="""\
            earlier[1].settle(Answer(Status.NOT_LEADER))
""",
    ),
    Mutation(
        name="expired-write-is-definite",
        area=Area.HOST,
        mistake="A write that expires while it is proposed is said to be not applied.",
        seen="Jepsen: a timeout says nothing",
        path=_ADMISSION,
        old="""\
            if isinstance(request, WriteRequest) and request.is_proposed:
""",
        new="""\
            if isinstance(request, WriteRequest) and not request.command:
""",
    ),
    Mutation(
        name="open-write-never-settled",
        area=Area.HOST,
        mistake="Proposed writes of a lost leadership are not given an end of an election timeout:"
        " their callers wait for as long as they can.",
        seen="every request has an end",
        path=_REPLICA,
        old="""\
        return [request for _term, request in self._proposed.values()]
""",
        new="""\
        return []
""",
    ),
    Mutation(
        name="acknowledged-before-persisted",
        area=Area.HOST,
        mistake="Votes and acknowledgements leave with the round that hands them to the log.",
        seen="reply before sync; etcd-io/raft: Messages after Entries are stable",
        path=_BUNDLES,
        old="""\
        for message in ready.messages:
            self._send(replica, message)
""",
        new="""\
        for message in (*ready.messages, *ready.messages_after_persist):
            self._send(replica, message)
""",
    ),
    Mutation(
        name="proposed-without-a-majority",
        area=Area.HOST,
        mistake="Writes are proposed long after a majority was last heard: their outcome becomes"
        " unknown.",
        seen="a minority refuses clearly",
        path=_INTAKE,
        old="""\
            if self._admission.reaches_majority(replica, self._majority_within_ticks):
""",
        new="""\
            if self._admission.reaches_majority(replica, 2 * self._majority_within_ticks):
""",
    ),
    Mutation(
        name="silent-node-wakes-nobody",
        area=Area.HOST,
        mistake="When a node falls silent only the groups that are led here wake: quiet followers"
        " of the silent node never campaign.",
        seen="quiet groups: TiKV's hibernate regions",
        path=_WAKE,
        old="""\
            if peer in replica.members:
                # Only silence of its own leader is a follower's reason to campaign soon.
""",
        new="""\
            if peer in replica.members and replica.is_leader:
                # Only silence of its own leader is a follower's reason to campaign soon.
""",
    ),
    Mutation(
        name="returned-node-hears-nothing",
        area=Area.HOST,
        mistake="A node that comes back is not told of quiet leaders.",
        seen="quiet groups",
        path=_WAKE,
        old="""\
            if replica.is_leader and peer in replica.members:
""",
        new="""\
            if replica.is_leader and peer in replica.members and not replica.core.is_quiet:
""",
    ),
    Mutation(
        name="vanished-caller-stays-counted",
        area=Area.HOST,
        mistake="A batch whose caller vanished stays counted as under way: in time none is taken.",
        seen="in-flight accounting leaks",
        path="kvstore/rpc/kv_service.py",
        old="""\
            await reply.done
        finally:
            admission.leave(peer, count, size)
            if not reply.done.done() or reply.done.cancelled():
""",
        new="""\
            await reply.done
            admission.leave(peer, count, size)
        finally:
            if not reply.done.done() or reply.done.cancelled():
""",
    ),
    Mutation(
        name="key-of-another-partition-taken",
        area=Area.HOST,
        mistake="A command is not checked for keys of another partition: they are never found.",
        seen="routing by an old map",
        path="kvstore/rpc/checks.py",
        old="""\
        if partition_of_hash(key_hash(key), partitions) != partition:
""",
        new="""\
        if partition_of_hash(key_hash(key), partitions) > partition:
""",
    ),
    Mutation(
        name="greedy-connection-fills-the-node",
        area=Area.HOST,
        mistake="A connection is held to the bound of all, not to what is left for others.",
        seen="shared queues without thresholds, which one sender fills",
        path="kvstore/replica/admission.py",
        old="""\
            share.requests + requests > limits.requests_max - self.requests
""",
        new="""\
            share.requests + requests > limits.requests_max
""",
    ),
    Mutation(
        name="left-entries-wait-for-the-log-to-rest",
        area=Area.HOST,
        mistake="What a follower leaves during a write is left during the next ones, too.",
        seen="work put off until there is none, which under load is never",
        path="kvstore/replica/apply_queue.py",
        old="""\
        return write_under_way is None or write_under_way != self._left_at
""",
        new="""\
        return write_under_way is None
""",
    ),
    Mutation(
        name="left-entries-are-left-for-good",
        area=Area.HOST,
        mistake="What a follower leaves waits for more, however long that takes to come.",
        seen="buffers that are flushed when they are full, and at no other time",
        path="kvstore/replica/apply_queue.py",
        old="""\
        before = self._ticks - LEFT_TICKS
""",
        new="""\
        before = -1
""",
    ),
    Mutation(
        name="bundles-go-on-after-a-mark",
        area=Area.HOST,
        mistake="What is committed after a mark joins the bundle that ends with it: the mark is"
        " never seen as the last that was applied, and no hash is of its index.",
        seen="batches that are joined across barriers",
        path="kvstore/replica/apply_queue.py",
        old="""\
            if last is None or last.size + size > BUNDLE_BYTES_AIM or is_mark(last.entries[-1]):
""",
        new="""\
            if last is None or last.size + size > BUNDLE_BYTES_AIM:
""",
    ),
    Mutation(
        name="session-reads-wait-for-what-is-there",
        area=Area.HOST,
        mistake="A session read of what was committed here and left for later asks the leader, and"
        " waits.",
        seen="reads of one's own writes that take a round trip more than they need",
        path="kvstore/replica/follower_reads.py",
        old="""\
        self._catch_up(state.group)
""",
        new="",
    ),
)
