"""Who a node is: from its directory, its settings, or the cluster, which only some have to ask."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import cast

import grpc
import pytest

from cluster.ids import NodeId, ReplicaId
from kvstore.config import NodeSettings, load_settings
from kvstore.data_directory import DataDirectory
from kvstore.errors import ConfigurationError
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from kvstore.seams import Seams
from kvstore.simulation.disk import MemoryFileSystem
from kvstore.standing import Standing, find_standing, life_over
from tests.rpc.test_rejoin import PLACE, Answer, Nodes, fails

N2 = NodeId("n2")
PATH = "/data/n2"
DAMAGE = "segment 3 is damaged at byte 20000"
MEMBERS = {ReplicaId(1): "a:1", ReplicaId(4): "b:1"}
"""What the cluster answers with: see PLACE."""


DEADLINE_S = 10.0


def place(_request: pb.RejoinRequest) -> pb.RejoinResponse:
    return PLACE


def ids(*numbers: int) -> frozenset[ReplicaId]:
    return frozenset(map(ReplicaId, numbers))


class Start:
    """A node that is to find out who it is, and those that it may ask: they `answer`, if at all."""

    def __init__(self, *, rejoin: bool = False, nodes: str = "n10=c,n2=b,n1=a") -> None:
        addresses = nodes.replace(",", ":1,") + ":1"
        self.settings: NodeSettings = load_settings(
            {
                "node_id": N2,
                "listen": "b:1",
                "data_dir": PATH,
                "initial_nodes": addresses,
                "rejoin": rejoin,
            }
        )
        self.files = MemoryFileSystem()
        self.others = Nodes()
        self._random = Random(2)  # no two lives have one token

    def answers(self, answer: Answer) -> None:
        """Whoever is asked says so; the node itself can be reached, too."""
        self.others.answers = {address: [answer] for address in ("a:1", "b:1", "c:1")}

    def open(self) -> DataDirectory:
        return DataDirectory.open(PATH, N2, self.files, 1, self._random)

    async def stands(self, directory: DataDirectory) -> Standing:
        """In a cluster of which only what may be asked for is there."""
        seams = SimpleNamespace(open_channel=self.others.open, random=Random(1))
        return await find_standing(self.settings, directory, cast("Seams", seams))

    async def standing(self) -> Standing:
        directory = self.open()
        try:
            return await self.stands(directory)
        finally:
            directory.close()

    def took_part_as(self, replica: int, *, damage: str | None = None) -> None:
        directory = self.open()
        directory.record_identity("the cluster", ReplicaId(replica))
        if damage is not None:
            directory.mark_damaged(damage)
        directory.close()


# Without asking


async def test_at_a_first_start_names_in_natural_order_number_the_replicas() -> None:
    start = Start()
    assert await start.standing() == Standing(
        me=ReplicaId(2),
        founders=ids(1, 2, 3),
        addresses={ReplicaId(1): "a:1", ReplicaId(2): "b:1", ReplicaId(3): "c:1"},
        has_data=False,
    )
    assert start.others.asked == []


async def test_who_has_taken_part_must_have_data() -> None:
    start = Start()
    start.took_part_as(2)
    standing = await start.standing()
    assert (standing.me, standing.has_data) == (2, True)
    assert start.others.asked == []


async def test_a_directory_of_another_replica_than_the_settings_make_it_is_refused() -> None:
    start = Start()
    start.took_part_as(3)
    with pytest.raises(ConfigurationError) as failure:
        await start.standing()
    assert str(failure.value) == (
        "the data directory /data/n2 is of replica 3, and initial-nodes makes this node replica 2:"
        " start it with the initial-nodes that it was first started with"
    )


async def test_who_joined_is_who_the_cluster_made_it_among_those_it_was_told() -> None:
    """The settings say only with whom the cluster began."""
    start = Start()
    directory = start.open()
    directory.begin_life("the cluster", ReplicaId(4), MEMBERS)
    directory.close()
    assert await start.standing() == Standing(ReplicaId(4), ids(1, 2, 3), MEMBERS, has_data=True)


async def test_rejoin_says_nothing_where_there_are_data() -> None:
    start = Start(rejoin=True)
    start.took_part_as(2)
    standing = await start.standing()
    assert (standing.me, standing.has_data) == (2, True)
    assert start.others.asked == []


def test_only_a_founder_begins_with_the_founders() -> None:
    founder = Standing(ReplicaId(2), ids(1, 2, 3), {}, has_data=False)
    assert founder.begins_with(ids(1, 2)) == ids(1, 2)
    later = Standing(ReplicaId(4), ids(1, 2, 3), {}, has_data=False)
    assert later.begins_with(ids(1, 2, 3)) == ids()


# Lost data


async def test_who_lost_its_data_takes_the_place_that_the_others_give_it() -> None:
    start = Start(rejoin=True)
    start.answers(place)
    directory = start.open()
    life = directory.life
    standing = await start.stands(directory)
    assert standing == Standing(ReplicaId(4), ids(1, 2, 3), MEMBERS, has_data=False)
    assert directory.life == life, "the one that it asked for"
    ((asked, request),) = start.others.asked
    assert asked != start.settings.advertised_address, "it does not ask itself"
    assert request == pb.RejoinRequest(node_id=N2, replica_id=0, life=0, new_life=life)


async def test_a_new_place_is_on_stable_storage_before_it_is_taken() -> None:
    start = Start(rejoin=True)
    start.answers(place)
    await start.stands(start.open())
    start.files.crash()
    directory = start.open()
    assert (directory.cluster_id, directory.replica_id) == ("the cluster", 4)
    assert directory.members == MEMBERS


# Damaged data


async def test_who_has_damaged_data_gives_them_up_for_a_new_life() -> None:
    start = Start()
    start.took_part_as(2, damage=DAMAGE)
    start.files.make_folder(f"{PATH}/log")
    start.answers(place)
    directory = start.open()
    life, damage = directory.life, directory.damage
    assert damage is not None
    standing = await start.stands(directory)
    assert standing == Standing(ReplicaId(4), ids(1, 2, 3), MEMBERS, has_data=False)
    ((_, request),) = start.others.asked
    assert request == pb.RejoinRequest(
        node_id=N2, replica_id=2, life=life, new_life=damage.next_life
    )
    assert directory.life == damage.next_life
    assert directory.damage is None
    assert not start.files.exists(f"{PATH}/log"), "set aside"
    assert start.files.exists(f"{PATH}/set-aside/log")


async def test_damage_comes_before_what_the_settings_say_of_the_replica() -> None:
    """A new place is asked for as the replica that it was."""
    start = Start(rejoin=True)
    start.took_part_as(3, damage=DAMAGE)
    start.answers(place)
    assert (await start.standing()).me == 4
    ((_, request),) = start.others.asked
    assert request.replica_id == 3


async def test_a_start_that_is_broken_off_asks_for_the_same_life_again() -> None:
    """Else the cluster would give one node two places."""
    start = Start()
    start.took_part_as(2, damage=DAMAGE)
    asked = asyncio.Event()
    nobody_leads = fails(grpc.StatusCode.UNAVAILABLE, "no leader")

    def answer(request: pb.RejoinRequest) -> pb.RejoinResponse:
        asked.set()
        return nobody_leads(request)

    start.answers(answer)
    for _ in range(2):
        asked.clear()
        broken_off = asyncio.create_task(start.standing())
        await asyncio.wait_for(asked.wait(), DEADLINE_S)
        broken_off.cancel()
        with pytest.raises(asyncio.CancelledError):
            await broken_off
    start.answers(place)
    await start.standing()
    lives = {(request.life, request.new_life) for _, request in start.others.asked}
    assert len(start.others.asked) >= 3
    assert len(lives) == 1


@pytest.mark.parametrize("nodes", ["n1=a,n2=b", "n2=b"])
async def test_a_refusal_leaves_all_as_it_was_and_says_where_to_look(nodes: str) -> None:
    start = Start(nodes=nodes)
    start.took_part_as(2 if "n1" in nodes else 1, damage=DAMAGE)
    start.files.make_folder(f"{PATH}/log")
    start.answers(fails(grpc.StatusCode.FAILED_PRECONDITION, "what is here may be the last copy"))
    directory = start.open()
    damage, life = directory.damage, directory.life
    with pytest.raises(ConfigurationError) as failure:
        await start.stands(directory)
    said = str(failure.value)
    assert said.startswith(f"node n2 cannot use the data in {PATH} ({DAMAGE}), and ")
    assert "may be the last copy" in said
    assert said.endswith(f"Look closer with `kvstore inspect {PATH}`")
    assert (directory.damage, directory.life) == (damage, life)
    assert start.files.exists(f"{PATH}/log")
    assert start.others.is_open == 0
    assert bool(start.others.asked) == ("n1" in nodes), "it never asks itself"


# What is said when others know it by other data


@pytest.mark.parametrize(
    ("took_part", "advice"),
    [
        (False, "this node's data in /data/n2 were lost. Start it with --rejoin"),
        (True, "the data in /data/n2 are of no more use. Empty it, and start with --rejoin"),
    ],
)
def test_a_life_that_is_over_says_how_to_begin_another(took_part: bool, advice: str) -> None:
    start = Start()
    if took_part:
        start.took_part_as(2)
    over = life_over("replica 2 is known by other data", start.open(), Path(PATH))
    assert str(over) == (f"replica 2 is known by other data: {advice} to take its place anew")
