"""Mistakes in answers: how large they are, what they say of themselves, who gives them."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_LEVELS: Final = "kvstore/client/level_sections.py"
_SCAN: Final = "kvstore/client/scan.py"

ANSWERS: Final = (
    Mutation(
        name="answer-larger-than-a-message",
        area=Area.HOST,
        mistake="A response carries all that was asked for: gRPC refuses it, and all is lost.",
        seen="received message larger than max",
        path="kvstore/rpc/batch.py",
        old="""\
        if len(answer.result) > self._room:
""",
        new="""\
        if self._room < 0:
""",
    ),
    Mutation(
        name="records-without-bound",
        area=Area.HOST,
        mistake="All keys of a section are read into memory, whatever they come to.",
        seen="resources that callers take without limit",
        path="kvstore/replica/lookups.py",
        old="""\
        if size > ANSWER_BYTES_MAX and count:
""",
        new="""\
        if size < 0 and count:
""",
    ),
    Mutation(
        name="write-without-room-is-definite",
        area=Area.CLIENTS,
        mistake="A write that was applied, and whose answer had no room, counts as not applied.",
        seen="an error that says more than is known",
        path="kvstore/client/answers.py",
        old="""\
        if not queue.returned(section, said):
""",
        new="""\
        if not queue.returned(section, None):
""",
    ),
    Mutation(
        name="receipt-for-who-asked-last",
        area=Area.CLIENTS,
        mistake="A section that is cut in two forgets that its first half wants receipts.",
        seen="flags that do not travel with what they are about",
        path="kvstore/client/operations.py",
        old="""\
        first.wants_place = self.wants_place
""",
        new="",
    ),
    Mutation(
        name="session-scan-of-any-state",
        area=Area.SCANS,
        mistake="A scan in a session does not say what the session has seen.",
        seen="Terry et al., Session Guarantees for Weakly Consistent Replicated Data (1994)",
        path=_LEVELS,
        old="""\
        return encode_level_scan(self.bounds[0], super().body())
""",
        new="""\
        return encode_level_scan(0, super().body())
""",
    ),
    Mutation(
        name="pinned-views-are-closed",
        area=Area.SCANS,
        mistake="A scan that was pinned closes its views: whoever goes on finds nothing.",
        seen="resources that are released by their first owner",
        path=_SCAN,
        old="""\
            if part.view is not None and not self.is_pinned and not self._dispatcher.closed:
""",
        new="""\
            if part.view is not None and not self._dispatcher.closed:
""",
    ),
    Mutation(
        name="pinned-page-of-any-revision",
        area=Area.SCANS,
        mistake="A page that goes on in a pinned scan opens a view where there is none any more.",
        seen="snapshots put together of parts",
        path=_SCAN,
        old="""\
                revision = None if view is None else view.revisions.get(number)
""",
        new="""\
                revision = None
""",
    ),
)
