"""Mistakes in the client's half of exactly-once writes: stamps, and what is sent again."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_ANSWERS: Final = "kvstore/client/answers.py"
_SESSION: Final = "kvstore/client/session.py"
_WRITE_QUEUE: Final = "kvstore/client/write_queue.py"

SESSIONS: Final = (
    Mutation(
        name="sequence-reused-after-a-refusal",
        area=Area.CLIENTS,
        mistake="The sequence of a command that was refused for certain is given again: while later"
        " ones are open, a second command comes under the number of one of them and is lost.",
        seen="Ongaro's dissertation, 6.3: serial numbers are unique",
        path=_WRITE_QUEUE,
        old="""\
        if section.stamp is not None:
            self.session.settle(section.stamp)
        section.unseal()
""",
        new="""\
        if section.stamp is not None:
            self.session.settle(section.stamp)
            self.session._next_sequence = section.stamp.sequence
        section.unseal()
""",
    ),
    Mutation(
        name="sent-again-without-those-who-are-gone",
        area=Area.CLIENTS,
        mistake="A command that is sent again is encoded anew without the operations that nobody"
        " waits for: the result that was kept for it fits it no more.",
        seen="retries that are not the same request",
        path="kvstore/client/operations.py",
        old="""\
        if self._body is not None:
            return self._body
        kinds = bytes(self.codes)
""",
        new="""\
        if self._body is not None:
            self.drop_done()
        kinds = bytes(self.codes)
""",
    ),
    Mutation(
        name="lowest-past-an-open-one",
        area=Area.CLIENTS,
        mistake="A command says that nobody will ask for those before it, while one of them is to"
        " be sent again: its result is thrown away, and it ends as unknown.",
        seen="Ongaro's dissertation, 6.3: what a client has no answer to is kept",
        path=_SESSION,
        old="""\
        return next(iter(self.open), self._next_sequence)
""",
        new="""\
        return next(reversed(self.open), self._next_sequence)
""",
    ),
    Mutation(
        name="new-session-although-maybe-applied",
        area=Area.CLIENTS,
        mistake="What waits to be sent again when a session turns out to be forgotten is taken over"
        " into the new one, also what may have been applied: it is applied twice.",
        seen="Ongaro's dissertation, 6.3: a session that expired must not be opened again",
        path=_WRITE_QUEUE,
        old="""\
            if each.doubt is None:
                self._unseal(each)
""",
        new="""\
            self._unseal(each)
""",
    ),
    Mutation(
        name="refusal-ends-the-doubt",
        area=Area.CLIENTS,
        mistake="That a second try was refused for certain counts for the first one as well: a"
        " write that was applied is said not to have been, or is applied again in a new session.",
        seen="etcd-io/etcd#18424",
        path=_WRITE_QUEUE,
        old="""\
        if doubt is not None:
            section.doubt = doubt
        if section.is_settled:
""",
        new="""\
        section.doubt = doubt
        if section.is_settled:
""",
    ),
    Mutation(
        name="first-doubt-forgotten",
        area=Area.CLIENTS,
        mistake="That the first try was not answered is not remembered: at the deadline the write"
        " is said not to have been applied.",
        seen="Jepsen: a timeout says nothing",
        path=_WRITE_QUEUE,
        old="""\
        if doubt is not None:
            section.doubt = doubt
        if section.is_settled:
""",
        new="""\
        if doubt is not None and section.tries > 1:
            section.doubt = doubt
        if section.is_settled:
""",
    ),
    Mutation(
        name="taken-back-without-a-doubt",
        area=Area.CLIENTS,
        mistake="A write that is sent to a new leader while the old one has it counts as not"
        " applied: a refusal of the second is passed on as if it spoke for both.",
        seen="hedged requests",
        path=_WRITE_QUEUE,
        old="""\
        section.doubt = doubt
        self.give_back(section)
        return True
""",
        new="""\
        self.give_back(section)
        return True
""",
    ),
    Mutation(
        name="told-not-applied-and-still-sent",
        area=Area.CLIENTS,
        mistake="A caller whose time is up before a refused command is sent again is told that"
        " nothing was applied, and his operation is sent with the others all the same.",
        seen="Jepsen: definite errors that are not",
        path=_WRITE_QUEUE,
        old="""\
                if min(section.deadlines, default=math.inf) <= now_s + margin_s:
                    self._unseal(section)
""",
        new="",
    ),
    Mutation(
        name="new-session-opened-after-nothing",
        area=Area.CLIENTS,
        mistake="A new session does not say up to where the partition was applied: where any"
        " session was ever forgotten it is refused again and again.",
        seen="sessions that expire",
        path=_WRITE_QUEUE,
        old="""\
        self.session = Session(self._random, opened_after=index)
""",
        new="""\
        self.session = Session(self._random)
""",
    ),
    Mutation(
        name="answered-sequence-stays-open",
        area=Area.CLIENTS,
        mistake="The sequences of answered commands stay open: the partition keeps all results, and"
        " soon no more may be given.",
        seen="in-flight accounting leaks",
        path=_WRITE_QUEUE,
        old="""\
        section.is_settled = True
        if section.stamp is not None:
            self.session.settle(section.stamp)
""",
        new="""\
        section.is_settled = True
""",
    ),
    Mutation(
        name="refused-in-doubt-is-definite",
        area=Area.CLIENTS,
        mistake="A write that is refused as invalid after a try without an answer is said not to"
        " have been applied.",
        seen="Jepsen: definite errors that are not",
        path=_ANSWERS,
        old="""\
            if not isinstance(problem, OutcomeUnknown):
""",
        new="""\
            if isinstance(problem, SessionExpired):
""",
    ),
    Mutation(
        name="retries-behind-newer-retries",
        area=Area.CLIENTS,
        mistake="Commands that are sent again go in the order in which their calls failed: writes"
        " of one caller change their order.",
        seen="retries that reorder",
        path=_WRITE_QUEUE,
        old="""\
        insort(self.again, section, key=_order)
""",
        new="""\
        self.again.append(section)
""",
    ),
)
