"""Mistakes in the state machine: apply that depends on more than the log, or is not one step."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_APPLIER: Final = "kvstore/storage/applier.py"
_HEADS: Final = "kvstore/storage/heads.py"

STATE_MACHINE: Final = (
    Mutation(
        name="applied-index-in-a-write-of-its-own",
        area=Area.STATE_MACHINE,
        mistake="The applied index is written before the data: a crash between the two leaves"
        " entries that are never applied.",
        seen="etcd-io/etcd#13766, the inconsistency of 3.5",
        path=_APPLIER,
        old="""\
        batch.put(state.state_key, _position_after(part, way))
""",
        new="""\
        position = engine.new_batch()
        position.put(state.state_key, _position_after(part, way))
        engine.write(position)
""",
    ),
    Mutation(
        name="result-depends-on-the-round",
        area=Area.STATE_MACHINE,
        mistake="The second write of a key in one round does not see the first: what is stored"
        " depends on where a replica's rounds begin.",
        seen="non-deterministic apply",
        path=_APPLIER,
        old="""\
                version += 1
                known[key] = head_of(version, create_revision, 0)
""",
        new="""\
                version += 1
                known.setdefault(key, head_of(version, create_revision, 0))
""",
    ),
    Mutation(
        name="deleted-key-lives-on-in-round",
        area=Area.STATE_MACHINE,
        mistake="A key deleted and written again in one round keeps its version.",
        seen="non-deterministic apply",
        path=_APPLIER,
        old="""\
                known[key] = ABSENT
""",
        new="""\
                known.setdefault(key, ABSENT)
""",
    ),
    Mutation(
        name="heads-kept-after-failed-write",
        area=Area.STATE_MACHINE,
        mistake="After an engine write that failed the cache of heads is used as it is.",
        seen="caches that are ahead of what they cache",
        path=_APPLIER,
        old="""\
        heads.clear()
        for part in parts:
""",
        new="""\
        for part in parts:
""",
    ),
    Mutation(
        name="old-head-before-young",
        area=Area.STATE_MACHINE,
        mistake="The older of two cached heads is taken: what is applied depends on the cache.",
        seen="non-deterministic apply",
        path=_HEADS,
        old="""\
            head = young.get(key)
            if head is None:
""",
        new="""\
            head = old.get(key, young.get(key))
            if head is None:
""",
    ),
    Mutation(
        name="position-moves-before-the-write",
        area=Area.STATE_MACHINE,
        mistake="A partition counts entries as applied that the engine refused to write.",
        seen="etcd-io/etcd#13766",
        path=_APPLIER,
        old="""\
    engine.write(batch)
    heads.remember(known)
    heads.forget(changed)
    for place, part in enumerate(parts):
        _advance(part, ways[place])
""",
        new="""\
    for place, part in enumerate(parts):
        _advance(part, ways[place])
    engine.write(batch)
    heads.remember(known)
    heads.forget(changed)
""",
    ),
    Mutation(
        name="entry-applied-out-of-place",
        area=Area.STATE_MACHINE,
        mistake="Entries that do not follow the applied index are applied all the same.",
        seen="check at open: applied index and first log index fit together",
        path=_APPLIER,
        old="""\
            if index != expected:
""",
        new="""\
            if index < expected:
""",
    ),
)
