"""What `kvstore explain` says, by what the nodes say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.ids import GroupId, NodeId, ReplicaId
from kvstore.cli.explanation import Explanation, explain_key, place_of
from kvstore.client import ClusterStatus, GroupStatus, NodeStatus
from kvstore.codec.session_token import encode_session_token
from kvstore.local import LocalCluster
from tests.client.background import Background, in_background
from tests.client.fake_cluster import CLUSTER_ID
from tests.conftest import Command, Finished, one_sentence

NAMES = ("n1", "n2", "n3")


def status(leader: str | None = "n1", down: str = "", **applied: int) -> ClusterStatus:
    """Three nodes and one partition; the leader has applied 9."""
    nodes = tuple(
        NodeStatus(NodeId(name), ReplicaId(number), f"{name}:1", "gone" if name in down else None)
        for number, name in enumerate(NAMES, 1)
    )
    said = {NodeId(n): applied.get(n, 9) for n in NAMES if n not in down}
    members = tuple(map(NodeId, NAMES))
    led = None if leader is None else NodeId(leader)
    lag = None if leader is None else {n: 9 - said.get(n, 4) for n in members if n != leader}
    group = GroupStatus(GroupId(1), members, led, 3, 9, 9, lag, said)
    return ClusterStatus("c", 1, nodes, group, (group,))


def reads(found: Explanation) -> dict[str, tuple[tuple[str, ...], bool | None]]:
    return {read.level: (read.asks, read.ready) for read in found.reads}


def test_all_well_the_leader_or_anybody_answers() -> None:
    assert reads(explain_key(b"k", status(), None, None)) == {
        "linearizable": (("n1",), True),
        "session": (NAMES, True),
        "stale": (NAMES, True),
    }


def test_a_session_is_answered_by_those_who_have_applied_what_it_saw() -> None:
    found = explain_key(b"k", status(n2=6, n3=7), 7, None)
    assert reads(found)["session"] == (("n1", "n3"), True)
    assert "index 7 or later; n2 cannot now" in found.reads[1].why
    assert reads(explain_key(b"k", status(n2=6, n3=7), 9, None))["session"] == (("n1",), True)
    nobody = explain_key(b"k", status(), 10, None)
    assert reads(nobody)["session"] == ((), False)
    assert reads(explain_key(b"k", status(n2=0), 0, None))["session"] == (NAMES, True)


def test_without_a_leader_only_weaker_reads_are_answered() -> None:
    found = reads(explain_key(b"k", status(leader=None, down="n1"), 9, 5.0))
    assert found == {
        "linearizable": ((), False),
        "session": (("n2", "n3"), True),
        "stale": (("n2", "n3"), None),
    }


def test_a_leader_without_a_majority_cannot_make_sure() -> None:
    found = explain_key(b"k", status(down="n2 n3"), None, 5.0)
    assert reads(found) == {
        "linearizable": (("n1",), False),
        "session": (("n1",), True),
        "stale": (("n1",), None),
    }
    assert "2 of 3 replicas have to confirm that and 1 answered" in found.reads[0].why
    assert "last 5 s" in found.reads[2].why
    assert [(m.role, m.applied, m.lag) for m in found.members] == [
        ("leader", 9, 0),
        ("down", None, 5),
        ("down", None, 5),
    ]


@pytest.mark.parametrize(
    ("key", "tag"),
    [(b"user/{42}/name", b"42"), (b"{42}", b"42"), (b"plain", None), (b"{}x", None), (b"{x", None)],
)
def test_the_place_of_a_key_is_that_of_its_tag(key: bytes, tag: bytes | None) -> None:
    place = place_of(key, 7)
    assert place.tag == tag
    assert place.first <= place.hash <= place.last
    assert place.hash == place_of(tag or key, 7).hash
    assert place.partition == place.hash * 7 >> 64


@pytest.fixture
def fake() -> Iterator[Background]:
    with in_background() as background:
        yield background


@pytest.fixture
def at_fake(command: Command, fake: Background, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("KVSTORE_ENDPOINTS", ",".join(fake.cluster.endpoints))
    return command


def the_object(finished: Finished) -> Any:
    assert (finished.code, finished.err) == (0, "")
    return json.loads(finished.out)


def test_it_shows_what_the_nodes_say(at_fake: Command, fake: Background) -> None:
    (key, *_) = fake.cluster.keys_of(0, 1)
    fake.on_loop(lambda: setattr(fake.cluster.nodes[3], "unapplied", 1))
    at_fake("put", key.decode(), "1")
    revision = fake.cluster.partitions[0].revision
    token = encode_session_token(CLUSTER_ID, {0: revision})
    found = the_object(at_fake("explain", key.decode(), "--output", "json", "--token", token))
    assert found["key"] == key.decode()
    assert (found["partition"], found["partitions"], found["tag"]) == (0, 4, None)
    assert found["range"] == {"first": "0x" + "0" * 16, "last": "0x3" + "f" * 15}
    assert int(found["hash"], 16) <= int(found["range"]["last"], 16)
    assert (found["leader"], found["term"], found["commit_index"]) == ("n1", 7, revision)
    rows = [(r["node"], r["role"], r["applied_index"], r["lag"]) for r in found["replicas"]]
    assert rows == [
        ("n1", "leader", revision, 0),
        ("n2", "follower", revision, 2),
        ("n3", "follower", revision - 1, 3),
    ]
    assert found["reads"]["linearizable"]["asks"] == ["n1"]
    assert found["reads"]["session"]["asks"] == ["n1", "n2"]
    assert found["reads"]["stale"]["ready"] is True


def test_lines_and_tables_say_the_same(at_fake: Command, fake: Background) -> None:
    lines = at_fake("explain", "user/{42}/name").out.decode().splitlines()
    assert lines[0].startswith("key user/{42}/name: tag 42, hash 0x")
    assert [line.split()[:2] for line in lines[2:]] == [
        *(["replica", name] for name in NAMES),
        *(["read", f"{level}:"] for level in ("linearizable", "session", "stale")),
    ]
    table = at_fake("explain", "user/{42}/name", "--output", "table").out.decode()
    for word in ("tag 42", *NAMES, "ReadIndex", "linearizable", "session", "stale"):
        assert word in table


def test_what_cannot_be_is_refused(at_fake: Command) -> None:
    for arguments, sentence, code in (
        (("k", "--token", "nonsense"), "token cannot be used", 5),
        (("k", "--token", encode_session_token("other", {0: 1})), "is of cluster other", 5),
        (("k", "--max-staleness", "-1"), "max_staleness_s is -1", 5),
        (("",), "key has 0 bytes", 5),
    ):
        refused = at_fake("explain", *arguments)
        assert sentence in one_sentence(refused)
        assert refused.code == code


def test_nobody_there_is_exit_code_3(command: Command) -> None:
    finished = command("--endpoints", "127.0.0.1:1", "--timeout", "0.2", "explain", "k")
    one_sentence(finished)
    assert finished.code == 3


@pytest.mark.process
def test_real_nodes_are_explained_as_their_reads_are_served(
    at_cluster: Command, cluster: LocalCluster
) -> None:
    at_cluster("put", "explain/key", "1")
    receipt = the_object_of_receipt(at_cluster)
    found = the_object(
        at_cluster("explain", "explain/key", "--output", "json", "--token", receipt["token"])
    )
    assert found["partition"] == receipt["partition"]
    assert found["reads"]["linearizable"] | {"why": ""} == {
        "asks": [receipt["node"]],
        "ready": True,
        "why": "",
    }
    assert found["leader"] == receipt["node"]
    assert found["term"] >= receipt["term"] >= 1
    assert found["leader"] in found["reads"]["session"]["asks"]
    assert {each["role"] for each in found["replicas"]} == {"leader", "follower"}
    (leader,) = (each for each in found["replicas"] if each["role"] == "leader")
    assert leader["applied_index"] >= receipt["index"]
    assert leader["address"] == cluster.addresses[leader["node"]]


def the_object_of_receipt(at_cluster: Command) -> Any:
    finished = at_cluster("get", "explain/key", "--receipt", "--output", "json")
    return json.loads(finished.out)["receipt"]
