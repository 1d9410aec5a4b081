"""The links between simulated nodes: rounds as bytes, on streams that break and are made anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final, Protocol

from xxhash import xxh3_64_intdigest

from cluster.ids import ReplicaId
from kvstore.environment import GroupMessage
from kvstore.rpc.peer_service import REFUSED_FOR_GOOD, ROUNDS_METHOD
from kvstore.simulation.network import Network
from kvstore.simulation.process_loop import ProcessLoop
from kvstore.simulation.rpc import Answered, SimulatedServer
from kvstore.wire.peer import Introduction, encode_round

_BACKOFF_S_MIN: Final = 0.05
_BACKOFF_S_MAX: Final = 0.25


class Directory(Protocol):
    """Who listens where."""

    def machine_at(self, address: str) -> str:
        """The machine with that address."""
        ...

    def is_on(self, machine: str) -> bool:
        """Whether the machine has power: if so, its system answers for processes that ended."""
        ...

    def server_on(self, machine: str) -> SimulatedServer | None:
        """The server of the process that runs there now; None: there is none."""
        ...


class SimulatedLinks:
    """The PeerLinks of a simulated node in one life."""

    def __init__(
        self,
        *,
        loop: ProcessLoop,
        network: Network,
        directory: Directory,
        machine: str,
        on_send: Callable[[ReplicaId, Sequence[GroupMessage]], None],
        new_stream: Callable[[], int],
        me: ReplicaId,
        introduce: Callable[[ReplicaId], Introduction],
        on_refused: Callable[[str], None],
        random: Random,
    ) -> None:
        self._loop = loop
        self._network = network
        self._directory = directory
        self._machine = machine
        self._on_send = on_send
        self._new_stream = new_stream
        self._me = me
        self._introduce = introduce
        self._on_refused = on_refused
        self._random = random
        self._machines: dict[ReplicaId, str] = {}
        self._streams: dict[ReplicaId, int] = {}
        self._broken_until_s: dict[ReplicaId, float] = {}
        self._greetings: dict[ReplicaId, tuple[Introduction, bytes, int]] = {}
        self.is_closed = False

    def follow(self, addresses: Mapping[ReplicaId, str]) -> None:
        """See PeerLinks."""
        machines = {to: self._directory.machine_at(at) for to, at in addresses.items()}
        self._streams = {
            to: self._streams[to] if self._machines.get(to) == machine else self._new_stream()
            for to, machine in machines.items()
        }
        self._machines = machines

    def send(self, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        """See Transport."""
        if self.is_closed or to not in self._streams:
            return
        self._on_send(to, messages)
        broken_until_s = self._broken_until_s.get(to)
        if broken_until_s is not None and broken_until_s > self._loop.time():
            return
        data, digest = self._encode(to, messages)
        stream = self._streams[to]
        target = self._machines[to]
        fate = self._network.send_round(
            self._machine, target, lambda: self._arrive(to, stream, target, data)
        )
        self._loop.kernel.note("send", self._machine, target, len(messages), digest, fate)

    def _encode(self, to: ReplicaId, messages: Sequence[GroupMessage]) -> tuple[bytes, int]:
        """A round, and the hash of its bytes. Most say only "I am here", and are all the same."""
        introduction = self._introduce(to)
        if not messages:
            greeting = self._greetings.get(to)
            if greeting is not None and (
                greeting[0] is introduction or greeting[0] == introduction
            ):
                return greeting[1:]
        data = encode_round(self._me, to, introduction, messages).SerializeToString()
        digest = xxh3_64_intdigest(data)
        if not messages:
            self._greetings[to] = (introduction, data, digest)
        return data, digest

    async def close(self) -> None:
        """See PeerLinks."""
        self.is_closed = True

    def _arrive(self, to: ReplicaId, stream: int, target: str, data: bytes) -> None:
        """At the other machine; its process takes it when it runs."""
        server = self._directory.server_on(target)
        if server is None:
            return

        def take() -> None:
            self._loop.kernel.note("receive", target, self._machine, stream, len(data))
            refusal = server.receive_round((self._machine, stream), ROUNDS_METHOD, data)
            if refusal is not None:
                self._network.send_round(
                    target, self._machine, lambda: self._broke(to, stream, refusal)
                )

        server.loop.deliver(take)

    def _broke(self, to: ReplicaId, stream: int, refusal: Answered) -> None:
        """The other end has refused the stream: the next one is tried a little later."""
        if self._streams.get(to) == stream and not self._loop.is_dead and not self.is_closed:
            if refusal.code is REFUSED_FOR_GOOD:
                self._loop.call_soon(self._on_refused, refusal.details)
            self._streams[to] = self._new_stream()
            backoff_s = self._random.uniform(_BACKOFF_S_MIN, _BACKOFF_S_MAX)
            self._broken_until_s[to] = self._loop.time() + backoff_s
