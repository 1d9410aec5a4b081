"""The network between simulated machines: what arrives, when, and how often.

Two kinds of traffic, as between real machines. *Rounds* of peers may be lost, repeated, delayed and
overtaken: the transport seam promises nothing. *Streams* carry calls of clients: what is sent on
one arrives once or not at all, late where packets were lost, and not before a cut has healed; a
stream on which something has not arrived for long breaks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

from kvstore.simulation.kernel import NS_PER_S, Callback, Kernel

Deliver = Callback
Link = tuple[str, str]
"""From one machine to another; the way back is another link."""

STREAM_PATIENCE_S: Final = 5.0
"""A stream breaks when something sent on it has not arrived for so long (TCP_USER_TIMEOUT)."""
_RESEND_S_MIN: Final = 0.2
_RESEND_S_MAX: Final = 1.0
"""How much later a packet of a stream arrives that was lost on its first way."""
DELAY_S_MAX: Final = 3.0
"""Of one packet, however slow its link is."""
_LONG_DETOURS: Final = 0.2
_LOOPBACK_S: Final = 0.00002


@dataclass(slots=True)
class Conditions:
    """The usual state of all links; times in seconds."""

    delay_s_min: float = 0.0002
    delay_s_mean: float = 0.0005
    """Of the part above the minimum, which is exponential."""
    loss: float = 0.0
    """Share of rounds that are lost, and of packets of streams that are sent again."""
    repeat: float = 0.0
    """Share of rounds that arrive twice."""
    overtake: float = 0.0
    """Share of rounds that are held back so long that others overtake them."""


@dataclass(slots=True)
class LinkState:
    """What is wrong with one link."""

    cuts: int = 0
    """How many faults cut it; 0: none."""
    slowness: float = 1.0
    """By how much its delays are multiplied."""
    loss: float = 0.0
    """Beside that of all links."""
    last_arrival_s: float = 0.0
    waiting: list[_Waiting] = field(default_factory=list)


@dataclass(slots=True)
class _Waiting:
    """Something on a stream that waits until the link is whole again."""

    deliver: Deliver
    is_given_up: bool = False


class Network:
    """See the module."""

    def __init__(self, kernel: Kernel, conditions: Conditions) -> None:
        self._kernel = kernel
        self._random: Random = kernel.random("network")
        self.conditions = conditions
        self._links: dict[Link, LinkState] = {}

    def link(self, source: str, target: str) -> LinkState:
        """The state of a link, to be looked at or changed; cuts go by `cut` and `heal`."""
        state = self._links.get((source, target))
        if state is None:
            state = self._links[source, target] = LinkState()
        return state

    # Faults

    def cut(self, source: str, target: str) -> None:
        """Lets nothing through, in this direction, until `heal` was called as often."""
        self.link(source, target).cuts += 1

    def heal(self, source: str, target: str) -> None:
        """Takes one cut back; what waits on streams is sent again, at its own pace."""
        state = self.link(source, target)
        state.cuts -= 1
        if state.cuts:
            return
        waiting, state.waiting = state.waiting, []
        for each in waiting:
            delay_s = self._random.uniform(0, _RESEND_S_MAX)
            self._kernel.after(delay_s, lambda each=each: self._arrive(state, each))  # type: ignore[misc]

    # Traffic

    def send_round(self, source: str, target: str, deliver: Deliver) -> str:
        """Carries a round, perhaps; says what becomes of it, for the trace."""
        state = self.link(source, target)
        if state.cuts:
            return "cut"
        random, conditions = self._random, self.conditions
        loss = conditions.loss + state.loss
        if loss and random.random() < loss:
            return "lost"
        fate = ""
        now_s = self._kernel.now_ns / NS_PER_S
        arrival_s = now_s + self._delay_s(state)
        if conditions.overtake and random.random() < conditions.overtake:
            arrival_s += self._detour_s(state)
            fate = "held back"
        else:
            # In the order of sending, as on the connection that there is between real nodes.
            arrival_s = max(arrival_s, state.last_arrival_s)
            state.last_arrival_s = arrival_s
        self._kernel.after(arrival_s - now_s, deliver)
        if conditions.repeat and random.random() < conditions.repeat:
            self._kernel.after(arrival_s - now_s + self._detour_s(state), deliver)
            fate = "repeated"
        return fate

    def send_on_stream(
        self, source: str, target: str, deliver: Deliver, give_up: Deliver | None = None
    ) -> None:
        """Carries a packet of a stream, sooner or later. `give_up` is called in place of `deliver`
        when that takes too long; without it the packet is dropped then."""
        if source == target:
            self._kernel.after(_LOOPBACK_S, deliver)
            return
        state = self.link(source, target)
        if state.cuts:
            self._wait(state, deliver, give_up)
            return
        delay_s = self._delay_s(state)
        loss = self.conditions.loss + state.loss
        if loss and self._random.random() < loss:
            delay_s += self._random.uniform(_RESEND_S_MIN, _RESEND_S_MAX)
        self._kernel.after(delay_s, deliver)

    def _wait(self, state: LinkState, deliver: Deliver, give_up: Deliver | None) -> None:
        waiting = _Waiting(deliver)
        state.waiting.append(waiting)

        def run_out() -> None:
            if not waiting.is_given_up:
                waiting.is_given_up = True
                if give_up is not None:
                    give_up()

        def deliver_in_time() -> None:
            if not waiting.is_given_up:
                waiting.is_given_up = True
                deliver()

        waiting.deliver = deliver_in_time
        self._kernel.after(STREAM_PATIENCE_S, run_out)

    def _arrive(self, state: LinkState, waiting: _Waiting) -> None:
        if state.cuts:
            state.waiting.append(waiting)
        else:
            waiting.deliver()

    def _detour_s(self, state: LinkState) -> float:
        """How much later than usual: a little, or so much that others have gone on since."""
        if self._random.random() < _LONG_DETOURS:
            return self._random.uniform(0, DELAY_S_MAX)
        return self._delay_s(state) * 10

    def _delay_s(self, state: LinkState) -> float:
        conditions = self.conditions
        extra_s = self._random.expovariate(1.0) * conditions.delay_s_mean
        delay_s = (conditions.delay_s_min + extra_s) * state.slowness
        return delay_s if delay_s < DELAY_S_MAX else DELAY_S_MAX
