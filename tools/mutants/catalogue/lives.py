"""Mistakes about whose data are whose: lives of nodes, their places, and who follows whom."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_DIRECTORY: Final = "kvstore/data_directory.py"
_INTRODUCTIONS: Final = "kvstore/rpc/introductions.py"
_META: Final = "cluster/partition/meta.py"
_REJOIN: Final = "kvstore/rpc/rejoin_service.py"
_REGROUPING: Final = "cluster/partition/regrouping.py"
_STANDING: Final = "kvstore/standing.py"
_STEPS: Final = "kvstore/replica/regrouping.py"

LIVES: Final = (
    Mutation(
        name="life-of-the-sender-not-checked",
        area=Area.PARTITIONING,
        mistake="A replica is taken for the one it says it is, whatever data it has: one that was"
        " wiped votes again.",
        seen="etcd: a member restarted with an empty data directory",
        path=_INTRODUCTIONS,
        old="""\
        if node is not None and node.life not in (0, said.life):
""",
        new="""\
        if node is not None and said.life == 0:
""",
    ),
    Mutation(
        name="life-of-the-receiver-not-checked",
        area=Area.PARTITIONING,
        mistake="A node takes what was meant for the data that it had: it acknowledges what it does"
        " not have.",
        seen="the other direction of the same stream",
        path=_INTRODUCTIONS,
        old="""\
        if said.receiver_life not in (0, self._life):
""",
        new="""\
        if said.receiver_life and not self._life:
""",
    ),
    Mutation(
        name="streams-outlive-the-map",
        area=Area.PARTITIONING,
        mistake="A stream that was taken before the map knew better is taken for ever.",
        seen="a check at the door only",
        path=_INTRODUCTIONS,
        old="""\
        self.version += 1
""",
        new="",
    ),
    Mutation(
        name="life-recorded-twice",
        area=Area.PARTITIONING,
        mistake="The last data that are met count, not the first: who was wiped is known again.",
        seen="last writer wins",
        path=_META,
        old="""\
        if life == 0 or node.life not in (0, life):
""",
        new="""\
        if life == 0:
""",
    ),
    Mutation(
        name="replica-id-reused",
        area=Area.PARTITIONING,
        mistake="The id of a new life is one above those that are there: it may have voted before.",
        seen="dissertation 4.4: a server that lost its state must not come back as itself",
        path=_META,
        old="""\
    new = state.next_replica
""",
        new="""\
    new = ReplicaId(max(node.replica for node in state.nodes if node is not old) + 1)
""",
    ),
    Mutation(
        name="last-copy-given-up",
        area=Area.PARTITIONING,
        mistake="A node is given a new place although half of a group is no majority: what it had"
        " may be nowhere else.",
        seen="replacing one of two",
        path=_META,
        old="""\
    return 2 * (voters - 1) > voters
""",
        new="""\
    return 2 * (voters - 1) >= voters
""",
    ),
    Mutation(
        name="place-given-twice",
        area=Area.PARTITIONING,
        mistake="A node that asks again, because the answer was lost, is given another id.",
        seen="a retry that is not idempotent",
        path=_META,
        old="""\
    if old.life == command.life:
        return MetaResult(state, Effect.UNCHANGED, "its place was given to it already")
    if old.replica != command.replica or command.life == 0:
""",
        new="""\
    if command.life == 0:
""",
    ),
    Mutation(
        name="place-given-while-another-is-taken",
        area=Area.PARTITIONING,
        mistake="A second voter of a group is given up while the first is still being replaced: no"
        " majority of the present voters has data.",
        seen="found by simulation: joint consensus needs the old majority, too",
        path=_REJOIN,
        old="""\
            if status.is_changing_members or 2 * len(others) <= len(voters):
""",
        new="""\
            if not others:
""",
    ),
    Mutation(
        name="live-node-replaced",
        area=Area.PARTITIONING,
        mistake="Whoever says a node's name is given its place, although the node is at work.",
        seen="two machines with one name",
        path=_REJOIN,
        old="""\
        if host.admission.silence_ticks(node.replica) < host.config.election_ticks_min:
""",
        new="""\
        if host.admission.silence_ticks(node.replica) < 0:
""",
    ),
    Mutation(
        name="learner-votes-before-it-caught-up",
        area=Area.PARTITIONING,
        mistake="Whoever is a learner is made a voter at once: commits wait for it.",
        seen="dissertation 4.2.1",
        path=_REGROUPING,
        old="""\
    ready = {replica for replica in missing if lags.get(replica, lag_max + 1) <= lag_max}
""",
        new="""\
    ready = set(missing)
""",
    ),
    Mutation(
        name="old-voter-goes-first",
        area=Area.PARTITIONING,
        mistake="Who is not wanted goes at once, not when its successor is there: a group of three"
        " is one of two meanwhile.",
        seen="dissertation 4.3: add, then remove",
        path=_REGROUPING,
        old="""\
    voters = staying | set(leaving[: max(0, len(goal) - len(staying))])
""",
        new="""\
    voters = staying or set(leaving[:1])
""",
    ),
    Mutation(
        name="new-life-of-the-old-token",
        area=Area.PARTITIONING,
        mistake="The life that follows damaged data keeps their token: the cluster's answer to the"
        " next question is the same place, and data that were given up pass for sound ones.",
        seen="an identity that does not change with what it identifies",
        path=_DIRECTORY,
        old="""\
        life = self.life if damage is None else damage.next_life
""",
        new="""\
        life = self.life
""",
    ),
    Mutation(
        name="set-aside-over-what-was-set-aside",
        area=Area.PARTITIONING,
        mistake="After a crash in the middle, the folder that was set aside just now is removed.",
        seen="a step that is not idempotent",
        path=_DIRECTORY,
        old="""\
            if not self._files.exists(source):
                continue  # set aside before a crash, or never made
            if self._files.exists(target):
                self._files.remove_folder(target)
""",
        new="""\
            if self._files.exists(target):
                self._files.remove_folder(target)
            if not self._files.exists(source):
                continue
""",
    ),
    Mutation(
        name="damaged-data-must-be-there",
        area=Area.PARTITIONING,
        mistake="A node whose damaged data were set aside must have them all the same: its new life"
        " ends with a start that finds no log.",
        seen="a decision from what was true before the repair",
        path=_STANDING,
        old="""\
    has_data = directory.damage is None and directory.cluster_id is not None
""",
        new="""\
    has_data = directory.cluster_id is not None
""",
    ),
    Mutation(
        name="late-replica-begins-with-the-founders",
        area=Area.PARTITIONING,
        mistake="A replica that came later takes the founders for the voters of its group, which"
        " they may be no more: it asks the wrong ones for votes.",
        seen="dissertation 4.2.1: a new server has no configuration",
        path=_STANDING,
        old="""\
        return frozenset(founders if self.me in founders else ())
""",
        new="""\
        return frozenset(founders)
""",
    ),
    Mutation(
        name="unwanted-learner-stays",
        area=Area.HOST,
        mistake="Only the voters are compared with the map: a learner of an older map gets all"
        " entries for ever.",
        seen="a goal that is checked by halves",
        path=_STEPS,
        old="""\
        if configuration.is_joint or configuration.members == set(wanted) == configuration.voters:
""",
        new="""\
        if configuration.is_joint or set(wanted) == configuration.voters:
""",
    ),
    Mutation(
        name="refused-change-falls-quiet",
        area=Area.MEMBERSHIP,
        mistake="A group that was woken by a change, and refused it, is quiet again when it is"
        " asked the next time: a learner of an idle group is never promoted.",
        seen="found by the unit suite: two periods that never meet",
        path="cluster/raft/leader.py",
        old="""\
        if self._now < self._awake_until:
            return False
""",
        new="",
    ),
)
