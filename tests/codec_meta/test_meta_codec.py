"""Maps and meta commands as JSON: one encoding, strictly decoded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.ids import NodeId, PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, ClusterSettings, NodeInfo, PartitionInfo
from cluster.partition.meta import (
    BootstrapCluster,
    MetaCommand,
    RecordLives,
    ReplaceReplica,
    SetPreferredLeaders,
)
from kvstore.codec.byteslist import CodecError
from kvstore.codec.meta import decode_map, decode_meta_command, encode_map, encode_meta_command
from tests.partition.maps import lives, maps, node_ids, partition_ids, replica_ids

SMALL = ClusterMap(
    cluster_id="c-1",
    epoch=1,
    nodes=(
        NodeInfo(ReplicaId(1), NodeId("n1"), "h1:7400", 17),
        NodeInfo(ReplicaId(4), NodeId("n2"), "h2:7400"),
    ),
    partitions=(
        PartitionInfo(PartitionId(0), (ReplicaId(4), ReplicaId(1)), (ReplicaId(2), ReplicaId(1))),
        PartitionInfo(PartitionId(1), (ReplicaId(1), ReplicaId(4))),
    ),
    settings=ClusterSettings(2, 3, 4096, 1048576),
    next_replica=ReplicaId(6),
)
SMALL_BYTES = (
    b'{"cluster_id":"c-1","epoch":1,"format":2,"next_replica":6,"nodes":['
    b'{"address":"h1:7400","life":17,"node_id":"n1","replica":1},'
    b'{"address":"h2:7400","life":0,"node_id":"n2","replica":4}],"partitions":['
    b'{"founders":[2,1],"partition":0,"replicas":[4,1]},'
    b'{"founders":[1,4],"partition":1,"replicas":[1,4]}],"settings":'
    b'{"key_bytes_max":4096,"partitions":2,"replication_factor":3,"value_bytes_max":1048576}}'
)
FORMAT_1_BYTES = (
    b'{"cluster_id":"c-1","epoch":1,"format":1,"nodes":['
    b'{"address":"h1:7400","node_id":"n1","replica":1},'
    b'{"address":"h2:7400","node_id":"n2","replica":2}],"partitions":['
    b'{"partition":0,"replicas":[2,1]}],"settings":'
    b'{"key_bytes_max":4096,"partitions":1,"replication_factor":3,"value_bytes_max":1048576}}'
)
LEADERS = SetPreferredLeaders({PartitionId(10): ReplicaId(1), PartitionId(9): ReplicaId(2)})
LEADERS_BYTES = (
    b'{"format":1,"kind":"set_preferred_leaders","leaders":['
    b'{"partition":9,"replica":2},{"partition":10,"replica":1}]}'
)
LIVES = RecordLives({ReplicaId(10): 7, ReplicaId(9): (1 << 64) - 1})
LIVES_BYTES = (
    b'{"format":1,"kind":"record_lives","lives":['
    b'{"life":18446744073709551615,"replica":9},{"life":7,"replica":10}]}'
)
REPLACE = ReplaceReplica(NodeId("n2"), ReplicaId(2), 7)
REPLACE_BYTES = b'{"format":1,"kind":"replace_replica","life":7,"node_id":"n2","replica":2}'
commands: st.SearchStrategy[MetaCommand] = st.one_of(
    st.builds(RecordLives, st.dictionaries(replica_ids, lives)),
    st.builds(ReplaceReplica, node_ids, replica_ids, lives),
    st.builds(BootstrapCluster, maps),
    st.builds(SetPreferredLeaders, st.dictionaries(partition_ids, replica_ids)),
)


def test_the_bytes_stay_as_they_are() -> None:
    bootstrap = b'{"format":1,"kind":"bootstrap_cluster","map":' + SMALL_BYTES + b"}"
    assert encode_map(SMALL) == SMALL_BYTES
    assert encode_meta_command(BootstrapCluster(SMALL)) == bootstrap
    assert decode_map(SMALL_BYTES) == SMALL
    assert decode_meta_command(bootstrap) == BootstrapCluster(SMALL)
    for command, data in ((LEADERS, LEADERS_BYTES), (LIVES, LIVES_BYTES), (REPLACE, REPLACE_BYTES)):
        assert encode_meta_command(command) == data
        assert decode_meta_command(data) == command


def test_a_map_of_format_1_is_read_as_one_in_which_nobody_was_replaced() -> None:
    cluster_map = decode_map(FORMAT_1_BYTES)
    assert [node.life for node in cluster_map.nodes] == [0, 0]
    assert cluster_map.next_replica == 3
    assert cluster_map.partitions[0].founders == (2, 1)


@settings(deadline=None)
@given(maps)
def test_a_map_comes_back_as_it_was(cluster_map: ClusterMap) -> None:
    data = encode_map(cluster_map)
    assert decode_map(data) == cluster_map
    assert encode_map(decode_map(data)) == data


@settings(deadline=None)
@given(commands)
def test_a_command_comes_back_as_it_was(command: MetaCommand) -> None:
    data = encode_meta_command(command)
    assert decode_meta_command(data) == command
    assert encode_meta_command(decode_meta_command(data)) == data


def test_leaders_in_any_order_have_one_encoding() -> None:
    turned = SetPreferredLeaders(dict(sorted(LEADERS.leaders.items())))
    assert encode_meta_command(turned) == encode_meta_command(LEADERS)


def test_the_largest_numbers_come_back_as_they_were() -> None:
    huge = replace(SMALL, epoch=(1 << 64) - 1)
    assert decode_map(encode_map(huge)) == huge


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every part of a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(inner for key, item in items for inner in paths_of(item, (*path, key)))]


def changed(data: bytes, path: tuple[str | int, ...], change: Callable[[Any, Any], None]) -> bytes:
    """`data` after change(container, key) at `path`."""
    value = json.loads(data)
    container = value
    for key in path[:-1]:
        container = container[key]
    change(container, path[-1])
    return json.dumps(value).encode()


def named(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)


MAP_PATHS = paths_of(json.loads(SMALL_BYTES))[1:]
COMMAND_PATHS = paths_of(json.loads(LEADERS_BYTES))[1:]


def replaced_by(value: object) -> Callable[[Any, Any], None]:
    def change(container: Any, key: Any) -> None:
        container[key] = value

    return change


def removed(container: Any, key: Any) -> None:
    del container[key]


@pytest.mark.parametrize("wrong", [None, True, 1.0, {"x": 1}, [[]]], ids=repr)
def test_a_field_of_another_type_is_named(wrong: object) -> None:
    for path in MAP_PATHS:
        with pytest.raises(CodecError) as caught:
            decode_map(changed(SMALL_BYTES, path, replaced_by(wrong)))
        assert f"map{named(path)}" in str(caught.value)
    for path in COMMAND_PATHS:
        with pytest.raises(CodecError) as caught:
            decode_meta_command(changed(LEADERS_BYTES, path, replaced_by(wrong)))
        assert f"command{named(path)}" in str(caught.value)


def test_a_field_that_is_missing_is_named() -> None:
    for path in MAP_PATHS:
        if isinstance(path[-1], str):
            with pytest.raises(CodecError) as caught:
                decode_map(changed(SMALL_BYTES, path, removed))
            assert f"map{named(path)} is missing" in str(caught.value)
    for path in COMMAND_PATHS:
        if isinstance(path[-1], str):
            with pytest.raises(CodecError) as caught:
                decode_meta_command(changed(LEADERS_BYTES, path, removed))
            assert f"command{named(path)} is missing" in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [("more",), ("nodes", 1, "more"), ("partitions", 0, "more"), ("settings", "more")],
    ids=named,
)
def test_a_field_that_is_unknown_is_named(path: tuple[str | int, ...]) -> None:
    with pytest.raises(CodecError) as caught:
        decode_map(changed(SMALL_BYTES, path, replaced_by(1)))
    assert f"map{named(path)} is not known here" in str(caught.value)


@pytest.mark.parametrize("path", [("more",), ("leaders", 0, "more")], ids=named)
def test_a_field_of_a_command_that_is_unknown_is_named(path: tuple[str | int, ...]) -> None:
    with pytest.raises(CodecError) as caught:
        decode_meta_command(changed(LEADERS_BYTES, path, replaced_by(1)))
    assert f"command{named(path)} is not known here" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("epoch",), 0, "map: epoch is 0"),
        (("format",), 3, "map.format 3 is not known here; 1 and 2 are"),
        (("next_replica",), 0, "map.next_replica is 0; it must be 1 or more"),
        (("next_replica",), 4, "map: next_replica is 4; it must be 5"),
        (("nodes", 1, "life"), -1, "map.nodes[1]: life is -1"),
        (("partitions", 0, "founders"), [], "map.partitions[0].founders is empty"),
        (("partitions", 0, "founders"), [6], "map: partition 0: founder is 6; it must be 1 to 5"),
        (("nodes", 1, "replica"), 0, "map.nodes[1]: replica is 0"),
        (("nodes", 1, "node_id"), "n1", "map: nodes: 'n1' is the name of two nodes"),
        (("partitions", 1, "replicas"), [1, 1], "map.partitions[1]: partition 1: replicas [1, 1]"),
        (("partitions", 1, "replicas"), [1, 3], "map: partition 1: replica 3"),
        (("settings", "partitions"), 4097, "map.settings: partitions is 4097"),
    ],
)
def test_values_that_make_no_map_are_named(
    path: tuple[str | int, ...], value: object, message: str
) -> None:
    with pytest.raises(CodecError) as caught:
        decode_map(changed(SMALL_BYTES, path, replaced_by(value)))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"format":2,"kind":"set_preferred_leaders","leaders":[]}', "command.format 2"),
        (b'{"format":1,"kind":"format_disk"}', "command.kind 'format_disk' is not known here"),
        (
            b'{"format":1,"kind":"set_preferred_leaders","leaders":['
            b'{"partition":1,"replica":1},{"partition":1,"replica":2}]}',
            "command.leaders[1].partition 1 stands there twice",
        ),
        (b'{"format":1,"format":1}', "field 'format' stands there twice"),
        (b"[]", "command must be an object, not list"),
        (b"null", "command must be an object, not null"),
        (b"", "0 bytes are not JSON"),
        (b'{"format":1', "11 bytes are not JSON"),
        (b'{"format":1} ,', "are not JSON"),
        (b'{"format":1}'.decode().encode("utf-16"), "are not JSON"),
        (b"\xff", "are not JSON"),
        (b"[" * 100_000, "are not JSON"),
        (b'{"format":' + b"9" * 10_000 + b"}", "are not JSON"),
        (b'{"format":NaN}', "command.format must be a whole number, not float"),
    ],
    ids=range(14),
)
def test_what_is_no_command_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode_meta_command(data)
    assert message in str(caught.value)


@settings(deadline=None)
@given(st.data())
def test_damaged_bytes_give_a_codec_error_or_another_map(data: st.DataObject) -> None:
    damaged = bytearray(SMALL_BYTES)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        cluster_map = decode_map(bytes(damaged))
    except CodecError:
        return
    assert decode_map(encode_map(cluster_map)) == cluster_map
