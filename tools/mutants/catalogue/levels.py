"""Mistakes in reads that any replica may serve (docs/consistency.md): how old a state may be, and
what a session has seen."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_FOLLOWER_READS: Final = "kvstore/replica/follower_reads.py"
_READ_POINTS: Final = "kvstore/replica/read_points.py"

LEVELS: Final = (
    Mutation(
        name="session-index-ignored",
        area=Area.READS,
        mistake="A session read is served from whatever is applied.",
        seen="Terry et al., Session Guarantees for Weakly Consistent Replicated Data (1994)",
        path=_FOLLOWER_READS,
        old="""\
            if not 0 < state.applied_index >= request.min_index:
""",
        new="""\
            if not 0 < state.applied_index:
""",
    ),
    Mutation(
        name="age-since-a-later-question",
        area=Area.READS,
        mistake="An answer is taken for one to the question that was asked last.",
        seen="etcd-io/etcd#20418: a retry confirmed by an answer from before a pause",
        path=_READ_POINTS,
        old="""\
            self._answered.append((asked_s, index))
""",
        new="""\
            self._answered.append((max(self._asked.values(), default=asked_s + 0.05), index))
""",
    ),
    Mutation(
        name="question-answered-without-a-majority",
        area=Area.READS,
        mistake="A leader answers how much is committed without making sure that it still leads.",
        seen="dissertation 6.4, step 3",
        path=_READ_POINTS,
        old="""\
        self._open[key] = under_way + 1
        self._read(group, ReadRequest(_Asker(self, group, message), 0, []), self._answer_ticks)
""",
        new="""\
        self._answer(group, message, replica.core.commit)
""",
    ),
    Mutation(
        name="questions-numbered-from-one",
        area=Area.READS,
        mistake="An answer to a question of before a crash is taken for one of after it.",
        seen="dissertation 6.4: a read context that is used twice gives a stale read",
        path=_READ_POINTS,
        old="""\
            self._number = self._random.getrandbits(63)
""",
        new="""\
            self._number = 0
""",
    ),
    Mutation(
        name="bound-of-age-ignored",
        area=Area.READS,
        mistake="A stale read is served from a state of any age that is known.",
        seen="the bound that the caller gave",
        path=_FOLLOWER_READS,
        old="""\
            if age_s > request.max_staleness_s:
""",
        new="""\
            if math.isinf(age_s):
""",
    ),
    Mutation(
        name="point-before-it-is-applied",
        area=Area.READS,
        mistake="A state counts as new enough as soon as the leader has answered, applied or not.",
        seen="dissertation 6.4, step 4",
        path=_READ_POINTS,
        old="""\
            if index > applied:
                waiting.append((asked_s, index))
            elif self.asked_s is None or asked_s > self.asked_s:
                self.asked_s, self.index = asked_s, index
""",
        new="""\
            if self.asked_s is None or asked_s > self.asked_s:
                self.asked_s = asked_s
""",
    ),
)
