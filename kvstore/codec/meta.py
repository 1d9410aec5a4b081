"""The cluster map and the commands of the meta group, as JSON.

```
map       {"cluster_id": "…", "epoch": 1, "format": 1,
           "nodes": [{"address": "host:port", "node_id": "n1", "replica": 1}, …],
           "partitions": [{"partition": 0, "replicas": [1, 2, 3]}, …],
           "settings": {"key_bytes_max": …, "partitions": …, "replication_factor": …,
                        "value_bytes_max": …}}
command   {"format": 1, "kind": "bootstrap_cluster", "map": map}
          {"format": 1, "kind": "set_preferred_leaders",
           "leaders": [{"partition": 0, "replica": 2}, …]}        in order of partition
```

JSON because they are rare and people read them when something is wrong. One value has one encoding:
sorted keys, no spaces, ASCII. Decoding takes exactly these fields: one that is missing, unknown,
repeated or of another type is an error that names it, for a node that guessed at a command would
part from the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, assert_never

from cluster.ids import NodeId, PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, ClusterSettings, InvalidMap, NodeInfo, PartitionInfo
from cluster.partition.meta import BootstrapCluster, MetaCommand, SetPreferredLeaders
from kvstore.codec.byteslist import CodecError

META_FORMAT: Final = 1
_BOOTSTRAP: Final = "bootstrap_cluster"
_SET_LEADERS: Final = "set_preferred_leaders"
_SETTINGS: Final = ("partitions", "replication_factor", "key_bytes_max", "value_bytes_max")


def encode_map(cluster_map: ClusterMap) -> bytes:
    """`cluster_map` as bytes."""
    return _dump(_map_fields(cluster_map))


def decode_map(data: bytes) -> ClusterMap:
    """The map in `data`; raises CodecError where it does not follow the format."""
    return _map(_Fields("map", _load(data)))


def encode_meta_command(command: MetaCommand) -> bytes:
    """`command` as bytes."""
    match command:
        case BootstrapCluster(cluster_map):
            return _dump(
                {"format": META_FORMAT, "kind": _BOOTSTRAP, "map": _map_fields(cluster_map)}
            )
        case SetPreferredLeaders(leaders):
            pairs = [
                {"partition": partition, "replica": leader}
                for partition, leader in sorted(leaders.items())
            ]
            return _dump({"format": META_FORMAT, "kind": _SET_LEADERS, "leaders": pairs})
        case _:
            assert_never(command)


def decode_meta_command(data: bytes) -> MetaCommand:
    """The command in `data`; raises CodecError where it does not follow the format."""
    fields = _Fields("command", _load(data))
    _check_format(fields)
    kind = fields.text("kind")
    command: MetaCommand
    if kind == _BOOTSTRAP:
        command = BootstrapCluster(_map(fields.nested("map")))
    elif kind == _SET_LEADERS:
        command = SetPreferredLeaders(_leaders(fields.nested_list("leaders")))
    else:
        raise CodecError(f"command.kind {kind!r} is not known here")
    fields.end()
    return command


def _map_fields(cluster_map: ClusterMap) -> dict[str, object]:
    return {
        "format": META_FORMAT,
        "cluster_id": cluster_map.cluster_id,
        "epoch": cluster_map.epoch,
        "nodes": [
            {"replica": node.replica, "node_id": node.node_id, "address": node.address}
            for node in cluster_map.nodes
        ],
        "partitions": [
            {"partition": info.partition, "replicas": info.replicas}
            for info in cluster_map.partitions
        ],
        "settings": {name: getattr(cluster_map.settings, name) for name in _SETTINGS},
    }


def _map(fields: _Fields) -> ClusterMap:
    _check_format(fields)
    with _naming(fields.path):
        cluster_map = ClusterMap(
            cluster_id=fields.text("cluster_id"),
            epoch=fields.number("epoch"),
            nodes=tuple(_node(node) for node in fields.nested_list("nodes")),
            partitions=tuple(_partition(info) for info in fields.nested_list("partitions")),
            settings=_settings(fields.nested("settings")),
        )
    fields.end()
    return cluster_map


def _node(fields: _Fields) -> NodeInfo:
    with _naming(fields.path):
        node = NodeInfo(
            replica=ReplicaId(fields.number("replica")),
            node_id=NodeId(fields.text("node_id")),
            address=fields.text("address"),
        )
    fields.end()
    return node


def _partition(fields: _Fields) -> PartitionInfo:
    with _naming(fields.path):
        info = PartitionInfo(
            partition=PartitionId(fields.number("partition")),
            replicas=tuple(ReplicaId(number) for number in fields.numbers("replicas")),
        )
    fields.end()
    return info


def _settings(fields: _Fields) -> ClusterSettings:
    with _naming(fields.path):
        settings = ClusterSettings(**{name: fields.number(name) for name in _SETTINGS})
    fields.end()
    return settings


def _leaders(items: Iterable[_Fields]) -> dict[PartitionId, ReplicaId]:
    leaders: dict[PartitionId, ReplicaId] = {}
    for fields in items:
        partition = PartitionId(fields.number("partition"))
        if partition in leaders:
            raise CodecError(f"{fields.path}.partition {partition} stands there twice")
        leaders[partition] = ReplicaId(fields.number("replica"))
        fields.end()
    return leaders


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """What the map's own checks refuse is an error of the bytes here, at `path`."""
    try:
        yield
    except InvalidMap as problem:
        raise CodecError(f"{path}: {problem}") from problem


class _Fields:
    """A JSON object that is taken apart field by field, and must be empty in the end."""

    __slots__ = ("_left", "path")

    def __init__(self, path: str, value: object) -> None:
        if not isinstance(value, dict):
            raise CodecError(f"{path} must be an object, not {_kind_of(value)}")
        self.path = path
        self._left: dict[str, object] = dict(value)

    def number(self, name: str) -> int:
        return _number(f"{self.path}.{name}", self._take(name))

    def text(self, name: str) -> str:
        value = self._take(name)
        if not isinstance(value, str):
            raise CodecError(f"{self.path}.{name} must be text, not {_kind_of(value)}")
        return value

    def nested(self, name: str) -> _Fields:
        return _Fields(f"{self.path}.{name}", self._take(name))

    def nested_list(self, name: str) -> list[_Fields]:
        return [_Fields(path, value) for path, value in self._list(name)]

    def numbers(self, name: str) -> list[int]:
        return [_number(path, value) for path, value in self._list(name)]

    def end(self) -> None:
        """Raises CodecError when fields are left that nobody asked for."""
        for name in self._left:
            raise CodecError(f"{self.path}.{name} is not known here")

    def _list(self, name: str) -> list[tuple[str, object]]:
        value = self._take(name)
        if not isinstance(value, list):
            raise CodecError(f"{self.path}.{name} must be a list, not {_kind_of(value)}")
        return [(f"{self.path}.{name}[{place}]", item) for place, item in enumerate(value)]

    def _take(self, name: str) -> object:
        if name not in self._left:
            raise CodecError(f"{self.path}.{name} is missing")
        return self._left.pop(name)


def _number(path: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise CodecError(f"{path} must be a whole number, not {_kind_of(value)}")
    return value


def _kind_of(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _check_format(fields: _Fields) -> None:
    found = fields.number("format")
    if found != META_FORMAT:
        raise CodecError(f"{fields.path}.format {found} is not known here; {META_FORMAT} is")


def _dump(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _load(data: bytes) -> object:
    try:
        # Decoded here, for json.loads would guess at UTF-16 and UTF-32.
        return json.loads(data.decode("ascii"), object_pairs_hook=_unrepeated)
    except CodecError:
        raise
    except (ValueError, RecursionError) as problem:
        raise CodecError(f"{len(data)} bytes are not JSON: {problem}") from problem


def _unrepeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise CodecError(f"field {twice!r} stands there twice")
    return fields
