"""Mistakes in scrubs: what is compared, whom a comparison blames, what becomes of them."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_VERDICT: Final = "cluster/scrub.py"
_HASHER: Final = "kvstore/replica/state_hasher.py"
_ROUNDS: Final = "kvstore/replica/scrub_rounds.py"
_SCRUBBER: Final = "kvstore/replica/scrubber.py"
_MARKS: Final = "kvstore/codec/scrub.py"

SCRUBS: Final = (
    Mutation(
        name="scrub-looks-past-its-mark",
        area=Area.SCRUBS,
        mistake="What follows a mark in the same bundle is applied before the view is opened, so"
        " that replicas hash the states of different indexes.",
        seen="checksums compared over a moving replica name sound ones",
        path=_MARKS,
        old="""\
        if is_mark(entry):
""",
        new="""\
        if is_mark(entry) and position == len(entries):
""",
    ),
    Mutation(
        name="scrub-blames-the-majority",
        area=Area.SCRUBS,
        mistake="Those that agree with the majority are named instead of those that do not.",
        seen="an inverted comparison",
        path=_VERDICT,
        old="""\
            named = tuple(member for member, own in answers.items() if own != each)
""",
        new="""\
            named = tuple(member for member, own in answers.items() if own == each)
""",
    ),
    Mutation(
        name="scrub-counts-answers-not-voters",
        area=Area.SCRUBS,
        mistake="Most of those that answered are taken for a majority of the voters: of two that"
        " answered or two of four, one is blamed by guess.",
        seen="a quorum of the replies instead of the group",
        path=_VERDICT,
        old="""\
        if is_majority(configuration, _has(answers, each)):
""",
        new="""\
        if 2 * sum(map(_has(answers, each), answers)) >= len(answers):
""",
    ),
    Mutation(
        name="scrub-forgives-the-unreadable",
        area=Area.SCRUBS,
        mistake="A replica that cannot read its state is passed over when the others agree.",
        seen="an error that counts as silence",
        path=_VERDICT,
        old="""\
        if damaged:
""",
        new="""\
        if damaged and right is None:
""",
    ),
    Mutation(
        name="scrub-hashes-keys-only",
        area=Area.SCRUBS,
        mistake="Values are not part of the hash.",
        seen="a digest of the index instead of the data",
        path=_HASHER,
        old="""\
        data = encode_records(len(self._pages.prefix), keys, values)
""",
        new="""\
        data = encode_records(len(self._pages.prefix), keys, [b""] * len(keys))
""",
    ),
    Mutation(
        name="scrub-hashes-the-generation",
        area=Area.SCRUBS,
        mistake="The generation is part of the hash: a replica that installed a snapshot is named.",
        seen="a physical detail in a logical checksum",
        path=_HASHER,
        old="""\
        data = encode_records(len(self._pages.prefix), keys, values)
""",
        new="""\
        data = encode_records(0, keys, values)
""",
    ),
    Mutation(
        name="scrub-hashes-the-configuration-record",
        area=Area.SCRUBS,
        mistake="The configuration's record is part of the hash, which only some replicas have.",
        seen="state that depends on how it came",
        path=_HASHER,
        old="""\
        if self._configuration_key in keys[:_SINGLE_RECORDS]:
""",
        new="""\
        if self._configuration_key in keys[:0]:
""",
    ),
    Mutation(
        name="scrub-hashes-the-first-page",
        area=Area.SCRUBS,
        mistake="A state that is larger than a page is read over and over from its beginning, and"
        " never to its end.",
        seen="a cursor that is not moved",
        path=_HASHER,
        old="""\
        page = self._pages.next(bytes_max)
""",
        new="""\
        self._pages._next_key = self._pages.prefix
        page = self._pages.next(bytes_max)
""",
    ),
    Mutation(
        name="scrub-replay-opens-views",
        area=Area.SCRUBS,
        mistake="Marks that a start applies anew open views that nobody waits for.",
        seen="side effects in replay",
        path=_SCRUBBER,
        old="""\
        if entry.index <= self._old[group] or entry.term != replica.core.term:
""",
        new="""\
        if entry.term != replica.core.term:
""",
    ),
    Mutation(
        name="scrub-answers-old-leaders",
        area=Area.SCRUBS,
        mistake="Marks of leaders that lead no more open views that nobody waits for.",
        seen="work for a term that is over",
        path=_SCRUBBER,
        old="""\
        if entry.index <= self._old[group] or entry.term != replica.core.term:
""",
        new="""\
        if entry.index <= self._old[group]:
""",
    ),
    Mutation(
        name="scrub-answer-sent-once",
        area=Area.SCRUBS,
        mistake="A lost answer is not sent again: who is damaged counts as silent.",
        seen="messages may be lost",
        path=_SCRUBBER,
        old="""\
                elif reading.silent_ticks % (ASK_TICKS if reading.is_heard else RESEND_TICKS) == 0:
""",
        new="""\
                elif reading.silent_ticks % SILENCE_TICKS_MAX == 0:
""",
    ),
    Mutation(
        name="scrub-named-leader-goes-on",
        area=Area.SCRUBS,
        mistake="A leader that is named itself tells the others and goes on.",
        seen="the one that decides forgets that it is one of those decided about",
        path=_SCRUBBER,
        old="""\
        if found.outcome is Outcome.DIVERGED and self._me in found.named:
""",
        new="""\
        if found.outcome is Outcome.DIVERGED and self._me in found.silent:
""",
    ),
    Mutation(
        name="scrub-waits-for-nobody",
        area=Area.SCRUBS,
        mistake="The leader decides as soon as it has read its own state.",
        seen="a deadline that has passed before it begins",
        path=_ROUNDS,
        old="""\
            round_.ticks_max = PATIENCE * round_.age_ticks + GRACE_TICKS
""",
        new="""\
            round_.ticks_max = round_.age_ticks
""",
    ),
    Mutation(
        name="scrub-waits-for-the-dead",
        area=Area.SCRUBS,
        mistake="A member that is down is waited for without end.",
        seen="a timeout that was forgotten",
        path=_ROUNDS,
        old="""\
            round_.age_ticks < ticks_max
            and any(
                member not in round_.hashes and not self._admission.is_silent(member)
                for member in replica.members
            )
""",
        new="""\
            round_.age_ticks < ticks_max * 1000
            and any(member not in round_.hashes for member in replica.members)
""",
    ),
    Mutation(
        name="quarantine-forgotten-by-a-restart",
        area=Area.SCRUBS,
        mistake="What was found is not made durable: the next start serves the damaged state.",
        seen="a supervisor that starts what has stopped itself",
        path="kvstore/storage/quarantine.py",
        old="""\
    engine.flush()
""",
        new="",
    ),
    Mutation(
        name="quarantine-still-takes-part",
        area=Area.SCRUBS,
        mistake="A node that was named serves, votes and sends until it is closed.",
        seen="a failure that is noted and acted upon later",
        path="kvstore/replica/participation.py",
        old="""\
            self.stop()
            self._leaving = (LEAVING_TICKS, problem)
""",
        new="""\
            self._leaving = (LEAVING_TICKS, problem)
""",
    ),
    Mutation(
        name="scrub-as-fast-as-it-can",
        area=Area.SCRUBS,
        mistake="A state is read to its end in one tick: the node's users wait.",
        seen="background work without a limit",
        path=_HASHER,
        old="""\
            while self._credit_bytes > 0 and reading.hash is None:
""",
        new="""\
            while reading.hash is None:
""",
    ),
)
