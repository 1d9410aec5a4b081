"""How the members of a group come to be those that the map wants: one step at a time.

```
  members        wanted      step
  ───────        ──────      ────
  1 2 3          1 4 3       4 becomes a learner
  1 2 3 + 4      1 4 3       none, until 4 has caught up; then the voters become 1 4 3
```

A group never has fewer voters than are wanted, as long as it has members to spare: who is to go
stays until whoever takes the place has caught up. Replacing one by the other is one change, by
joint consensus (dissertation 4.3), in which the group is never smaller than before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cluster.ids import ReplicaId


@dataclass(frozen=True, slots=True)
class Members:
    """Who belongs to a group; what is under way to become another is none."""

    voters: frozenset[ReplicaId]
    learners: frozenset[ReplicaId] = frozenset()


def membership_step(
    members: Members,
    wanted: Collection[ReplicaId],
    lags: Mapping[ReplicaId, int],
    lag_max: int,
) -> Members | None:
    """What `members` have to become next, so that in the end exactly `wanted` vote; None: nothing
    for now.

    `lags`: the entries that each other member still misses, by its leader's account. A learner
    that misses at most `lag_max` has caught up and may vote (4.2.1). Each step follows from what
    is there alone, so it may be asked for by one leader after another.
    """
    goal = frozenset(wanted)
    missing = goal - members.voters
    learners = members.learners & goal
    if not missing <= learners:
        return Members(members.voters, missing)
    ready = {replica for replica in missing if lags.get(replica, lag_max + 1) <= lag_max}
    staying = (members.voters & goal) | ready
    # Those that miss least stay longest; the leader, which is nobody's follower, misses nothing.
    leaving = sorted(members.voters - goal, key=lambda replica: (lags.get(replica, 0), replica))
    voters = staying | set(leaving[: max(0, len(goal) - len(staying))])
    step = Members(voters, missing - ready)
    return None if step == members else step
