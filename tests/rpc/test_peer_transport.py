"""Rounds over real sockets: in order, after a restart of the peer again, and in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import grpc
import pytest

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft.messages import AppendRequest, Entry, EntryKind, TimeoutNow
from kvstore.environment import GroupMessage
from kvstore.generated.cluster.v1 import peer_pb2
from kvstore.http2.link import Link
from kvstore.local.ports import free_ports
from kvstore.rpc import peer_transport
from kvstore.rpc.introductions import Objection
from kvstore.rpc.peer_service import PEER_SERVICE, PeerService
from kvstore.rpc.peer_transport import PeerTransport
from kvstore.rpc.server import NodeServer
from kvstore.wire.peer import Introduction

ME, PEER = ReplicaId(1), ReplicaId(2)
SAID = Introduction("cluster", 17, 0, "127.0.0.1:1")


class Receiver:
    """A peer that takes rounds; it can end and come back at the same address."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_ports('127.0.0.1', 1)[0]}"
        self.messages: list[GroupMessage] = []
        self.rounds = 0
        self.refusals = 0
        self.met: list[ReplicaId] = []
        self.wrong: Objection | None = None
        self.version = 0
        self._server: NodeServer | None = None

    async def start(self) -> None:
        self._server = NodeServer(self.address)
        await self._server.start(
            [PeerService(self, lambda peer, _said: self.met.append(peer), self._receive).handler()]
        )

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def objection(self, sender: ReplicaId, to: ReplicaId, said: Introduction) -> Objection | None:
        assert (sender, to, said) == (ME, PEER, SAID)
        self.refusals += self.wrong is not None
        return self.wrong

    def _receive(self, sender: ReplicaId, messages: list[GroupMessage]) -> None:
        assert sender == ME
        self.rounds += 1
        self.messages += messages


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture
async def transport(receiver: Receiver) -> AsyncIterator[PeerTransport]:
    transport = transport_to(receiver.address)
    yield transport
    await transport.close()


def transport_to(address: str, told: list[str] | None = None) -> PeerTransport:
    on_refused = (lambda _reason: None) if told is None else told.append
    transport = PeerTransport(ME, lambda _to: SAID, on_refused, Random(1))
    transport.follow({PEER: address})
    return transport


def numbered(number: int) -> GroupMessage:
    return GroupId(1), TimeoutNow(ME, PEER, Term(number))


async def until(condition: Callable[[], bool], again: Callable[[], None] | None = None) -> None:
    async with asyncio.timeout(20):
        while not condition():
            if again is not None:
                again()
            await asyncio.sleep(0.01)


async def test_messages_arrive_whole_and_in_order(
    receiver: Receiver, transport: PeerTransport
) -> None:
    await until(lambda: receiver.rounds > 0, lambda: transport.send(PEER, ()))
    sent = [numbered(number) for number in range(1, 500)]
    for first in range(0, len(sent), 7):
        transport.send(PEER, sent[first : first + 7])
        await asyncio.sleep(0)
    await until(lambda: len(receiver.messages) == len(sent))
    assert receiver.messages == sent


async def test_a_peer_is_reached_by_the_detour_that_is_given_for_its_address(
    receiver: Receiver,
) -> None:
    elsewhere = "127.0.0.1:1"
    transport = PeerTransport(
        ME,
        lambda _to: SAID,
        lambda _reason: None,
        Random(1),
        detours={elsewhere: receiver.address},
    )
    transport.follow({PEER: elsewhere})
    await until(lambda: receiver.rounds > 0, lambda: transport.send(PEER, ()))
    await transport.close()


async def test_what_gathers_while_there_is_no_room_travels_as_one(
    receiver: Receiver, transport: PeerTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport.send(PEER, ())
    await until(lambda: receiver.rounds > 0)
    before = receiver.rounds
    with monkeypatch.context() as context:
        context.setattr(Link, "is_full", True)
        for number in range(1, 1001):
            transport.send(PEER, [numbered(number)])
    transport.send(PEER, [numbered(1001)])
    await until(lambda: len(receiver.messages) == 1001)
    assert receiver.rounds - before == 1


async def test_a_peer_that_comes_back_is_reached_again(
    receiver: Receiver, transport: PeerTransport
) -> None:
    await until(lambda: receiver.rounds > 0, lambda: transport.send(PEER, ()))
    await receiver.stop()
    await receiver.start()
    before = receiver.rounds
    await until(lambda: receiver.rounds > before, lambda: transport.send(PEER, ()))
    assert receiver.met == [ME, ME]  # once for each connection


async def test_a_peer_that_refuses_is_asked_again(
    receiver: Receiver, transport: PeerTransport
) -> None:
    receiver.wrong = Objection("another cluster")
    transport.send(PEER, [numbered(1)])
    await until(lambda: receiver.refusals > 1, lambda: transport.send(PEER, [numbered(1)]))
    assert receiver.messages == []
    receiver.wrong = None
    await until(lambda: receiver.rounds > 0, lambda: transport.send(PEER, ()))


async def test_a_peer_that_refuses_for_good_says_so(receiver: Receiver) -> None:
    receiver.wrong = Objection("replica 1 is known by other data", is_final=True)
    told: list[str] = []
    transport = transport_to(receiver.address, told)
    await until(lambda: bool(told), lambda: transport.send(PEER, [numbered(1)]))
    assert told[0] == "replica 1 is known by other data"
    assert receiver.messages == []
    await transport.close()


async def test_a_stream_is_refused_in_its_middle_when_others_are_taken_from_then_on(
    receiver: Receiver, transport: PeerTransport
) -> None:
    await until(lambda: receiver.rounds > 0, lambda: transport.send(PEER, ()))
    receiver.wrong = Objection("replaced", is_final=True)
    receiver.version += 1
    await until(lambda: receiver.refusals > 0, lambda: transport.send(PEER, [numbered(1)]))
    assert receiver.messages == []


async def test_links_follow_the_peers_that_there_are(
    receiver: Receiver, transport: PeerTransport
) -> None:
    await until(lambda: receiver.rounds > 0, lambda: transport.send(PEER, ()))
    transport.follow({PEER: receiver.address})
    transport.send(PEER, [numbered(1)])
    await until(lambda: receiver.messages == [numbered(1)])
    assert receiver.met == [ME], "a link that stays is not disturbed"
    transport.follow({})
    transport.send(PEER, [numbered(2)])  # for nobody
    transport.follow({PEER: receiver.address})
    await until(lambda: len(receiver.met) == 2, lambda: transport.send(PEER, ()))
    assert receiver.messages == [numbered(1)]


async def test_a_stream_that_the_peer_cancels_is_made_anew() -> None:
    streams = 0

    async def cancel(_requests: object, context: Any) -> peer_pb2.RoundsSummary:
        nonlocal streams
        streams += 1
        await context.read()
        await context.abort(grpc.StatusCode.CANCELLED)
        raise AssertionError("abort returned")

    handler = grpc.stream_unary_rpc_method_handler(
        cancel, peer_pb2.Round.FromString, peer_pb2.RoundsSummary.SerializeToString
    )
    address = f"127.0.0.1:{free_ports('127.0.0.1', 1)[0]}"
    server = NodeServer(address)
    await server.start([grpc.method_handlers_generic_handler(PEER_SERVICE, {"Rounds": handler})])
    transport = transport_to(address)
    await until(lambda: streams > 2, lambda: transport.send(PEER, [numbered(1)]))
    await transport.close()
    await server.stop(None)


async def test_messages_larger_than_a_round_are_sent_in_several(
    receiver: Receiver, transport: PeerTransport
) -> None:
    await until(lambda: receiver.rounds > 0, lambda: transport.send(PEER, ()))
    before = receiver.rounds
    size = 3 << 20
    for number in range(1, 6):
        entry = Entry(Index(number), Term(1), EntryKind.NORMAL, bytes(size))
        append = AppendRequest(ME, PEER, Term(1), Index(number - 1), Term(1), Index(0), (entry,))
        transport.send(PEER, [(GroupId(1), append)])
    await until(lambda: len(receiver.messages) == 5)
    assert receiver.rounds - before >= 2


async def test_what_is_queued_for_a_peer_that_is_away_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peer_transport, "_QUEUE_BYTES_MAX", 10_000)
    nowhere = f"127.0.0.1:{free_ports('127.0.0.1', 1)[0]}"
    transport = transport_to(nowhere)
    for number in range(10_000):
        transport.send(PEER, [numbered(number)])
        assert transport.queued_bytes(PEER) <= 10_000
    await transport.close()


async def test_a_port_that_was_bound_and_never_served_is_given_back() -> None:
    address = f"127.0.0.1:{free_ports('127.0.0.1', 1)[0]}"
    for _ in range(3):
        await NodeServer(address).stop(None)
