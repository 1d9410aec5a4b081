"""Mistakes in the client library: what is sent again, and what an error says of a write."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_ANSWERS: Final = "kvstore/client/answers.py"
_DISPATCH: Final = "kvstore/client/dispatch.py"
_OUTCOMES: Final = "kvstore/client/outcomes.py"

CLIENTS: Final = (
    Mutation(
        name="unavailable-sent-again",
        area=Area.CLIENTS,
        mistake="A call that ends with UNAVAILABLE counts as not received: a write may be applied"
        " twice.",
        seen="etcd-io/jetcd#1444, etcd-io/etcd#18424",
        path=_OUTCOMES,
        old="""\
    if said.get(OUTCOME_KEY) == Outcome.DEFINITE.value:
""",
        new="""\
    if said.get(OUTCOME_KEY) == Outcome.DEFINITE.value or code is grpc.StatusCode.UNAVAILABLE:
""",
    ),
    Mutation(
        name="unknown-write-sent-again",
        area=Area.CLIENTS,
        mistake="A write whose outcome is unknown is sent again as if it were another.",
        seen="retry of a non-idempotent operation applied twice",
        path="kvstore/client/write_queue.py",
        old="""\
        if stamp is not None and stamp.client != self.session.client and section.doubt is None:
            self._unseal(section)
""",
        new="""\
        if stamp is not None:
            self._unseal(section)
""",
    ),
    Mutation(
        name="unlisted-status-sent-again",
        area=Area.CLIENTS,
        mistake="A status of a newer node that is not known here counts as not applied.",
        seen="enums that grow",
        path=_ANSWERS,
        old="""\
        verdict = _VERDICTS.get(status, Verdict.UNKNOWN)
""",
        new="""\
        verdict = _VERDICTS.get(status, Verdict.AGAIN)
""",
    ),
    Mutation(
        name="deadline-under-way-is-definite",
        area=Area.CLIENTS,
        mistake="A write whose deadline passes while a node has it is said to be not done.",
        seen="Jepsen: a timeout says nothing",
        path=_DISPATCH,
        old="""\
    if lane.kind is OperationClass.WRITE:
        return lambda: OutcomeUnknown(
            f"the deadline passed while {lane.name} had the write; it may have been applied{before}"
        )
""",
        new="",
    ),
    Mutation(
        name="close-under-way-is-definite",
        area=Area.CLIENTS,
        mistake="A write under way when the client is closed is said to be not done.",
        seen="Jepsen: definite errors that are not",
        path=_DISPATCH,
        old="""\
    if lane.kind is OperationClass.WRITE:
        return lambda: OutcomeUnknown(
            f"the client was closed while {lane.name} had the write; it may have been applied"
        )
""",
        new="",
    ),
    Mutation(
        name="sent-without-a-connection",
        area=Area.CLIENTS,
        mistake="Operations are handed to a channel without a connection, and may go out later.",
        seen="gRPC channels reconnect by themselves",
        path="kvstore/client/lane.py",
        old="""\
        if not self.connection.is_ready():
""",
        new="""\
        if not self.connection.is_ready() and self._calls:
""",
    ),
    Mutation(
        name="given-back-behind-newer",
        area=Area.CLIENTS,
        mistake="Operations that are tried again go behind those that came since: writes of one"
        " caller change their order.",
        seen="retries that reorder",
        path="kvstore/client/outbox.py",
        old="""\
        section.put_before(self.section)
        self.section = section
""",
        new="""\
        self.section.put_before(section)
""",
    ),
    Mutation(
        name="answers-to-the-wrong-callers",
        area=Area.CLIENTS,
        mistake="Answers are dealt out to the callers that still wait: behind one that gave up all"
        " get the answer of another.",
        seen="parallel lists that lose their parallel",
        path="kvstore/client/operations.py",
        old="""\
    for place, future in enumerate(futures):
        if not future.done():
            future.set_result(given[place])
""",
        new="""\
    waiting = [future for future in futures if not future.done()]
    for future, result in zip(waiting, given, strict=False):
        future.set_result(result)
""",
    ),
    Mutation(
        name="expired-leave-a-call-under-way",
        area=Area.CLIENTS,
        mistake="Callers whose time is up are dropped from a section under way: its answer fits it"
        " no more, and the writes of the others end as unknown.",
        seen="parallel lists that lose their parallel",
        path=_DISPATCH,
        old="""\
            earliest_s = min(earliest_s, section.expire(now_s, _overdue_error(lane, queue)))
""",
        new="""\
            earliest_s = min(earliest_s, section.expire(now_s, _overdue_error(lane, queue)))
            section.drop_done()
""",
    ),
    Mutation(
        name="spent-outbox-bytes-leak",
        area=Area.CLIENTS,
        mistake="Operations that nobody waits for leave the outbox and stay counted.",
        seen="in-flight accounting leaks",
        path="kvstore/client/outbox.py",
        old="""\
        self.outbox.cost_bytes -= section.drop_done()
        if not section.futures:
            return None
""",
        new="""\
        section.drop_done()
        if not section.futures:
            return None
""",
    ),
    Mutation(
        name="hint-of-another-epoch-followed",
        area=Area.CLIENTS,
        mistake="A hint of who leads is followed although that node holds no replica by the map.",
        seen="stale metadata",
        path="kvstore/client/routing.py",
        old="""\
            if route.leader != leader and leader in route.replicas:
""",
        new="""\
            if route.leader != leader:
""",
    ),
    Mutation(
        name="second-call-takes-the-same-partitions",
        area=Area.CLIENTS,
        mistake="A second main call takes partitions that the first one carries.",
        seen="batches of one partition that overtake each other",
        path="kvstore/client/lane.py",
        old="""\
        taken = {queue.partition for main in self._mains for queue in main.queues}
        taken |= suspects.keys()
""",
        new="""\
        taken = set(suspects)
""",
    ),
)
