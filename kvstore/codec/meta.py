"""The cluster map and the commands of the meta group, as JSON.

```
map       {"cluster_id": "…", "epoch": 1, "format": 2, "next_replica": 4,
           "nodes": [{"address": "host:port", "life": …, "node_id": "n1", "replica": 1}, …],
           "partitions": [{"founders": [1, 2, 3], "partition": 0, "replicas": [1, 2, 3]}, …],
           "settings": {"key_bytes_max": …, "partitions": …, "replication_factor": …,
                        "value_bytes_max": …}}
command   {"format": 1, "kind": "bootstrap_cluster", "map": map}
          {"format": 1, "kind": "set_preferred_leaders",
           "leaders": [{"partition": 0, "replica": 2}, …]}        in order of partition
          {"format": 1, "kind": "record_lives",
           "lives": [{"life": …, "replica": 2}, …]}               in order of replica
          {"format": 1, "kind": "replace_replica", "life": …, "node_id": "n2", "replica": 2}
```

A map of format 1 has no lives, founders and next_replica. It is read: no replica had been replaced.

JSON because they are rare and people read them when something is wrong. One value has one encoding:
sorted keys, no spaces, ASCII. Decoding takes exactly these fields: one that is missing, unknown,
repeated or of another type is an error that names it, for a node that guessed at a command would
part from the others.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final, assert_never

from cluster.ids import NodeId, PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, ClusterSettings, InvalidMap, NodeInfo, PartitionInfo
from cluster.partition.meta import (
    BootstrapCluster,
    MetaCommand,
    RecordLives,
    ReplaceReplica,
    SetPreferredLeaders,
)
from kvstore.codec.byteslist import CodecError

META_FORMAT: Final = 1
"""Of commands."""
MAP_FORMAT: Final = 2
_MAP_FORMATS: Final = (1, MAP_FORMAT)
_BOOTSTRAP: Final = "bootstrap_cluster"
_SET_LEADERS: Final = "set_preferred_leaders"
_RECORD_LIVES: Final = "record_lives"
_REPLACE: Final = "replace_replica"
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
        case RecordLives(lives):
            known = [{"replica": replica, "life": life} for replica, life in sorted(lives.items())]
            return _dump({"format": META_FORMAT, "kind": _RECORD_LIVES, "lives": known})
        case ReplaceReplica(node_id, replica, life):
            return _dump(
                {
                    "format": META_FORMAT,
                    "kind": _REPLACE,
                    "node_id": node_id,
                    "replica": replica,
                    "life": life,
                }
            )
        case _:
            assert_never(command)


def decode_meta_command(data: bytes) -> MetaCommand:
    """The command in `data`; raises CodecError where it does not follow the format."""
    fields = _Fields("command", _load(data))
    _check_format(fields, (META_FORMAT,))
    kind = fields.text("kind")
    command: MetaCommand
    if kind == _BOOTSTRAP:
        command = BootstrapCluster(_map(fields.nested("map")))
    elif kind == _SET_LEADERS:
        command = SetPreferredLeaders(_by_number(fields, "leaders", "partition", "replica"))
    elif kind == _RECORD_LIVES:
        command = RecordLives(_by_number(fields, "lives", "replica", "life"))
    elif kind == _REPLACE:
        command = ReplaceReplica(
            NodeId(fields.text("node_id")),
            ReplicaId(fields.number("replica")),
            fields.number("life"),
        )
    else:
        raise CodecError(f"command.kind {kind!r} is not known here")
    fields.end()
    return command


def _map_fields(cluster_map: ClusterMap) -> dict[str, object]:
    return {
        "format": MAP_FORMAT,
        "cluster_id": cluster_map.cluster_id,
        "epoch": cluster_map.epoch,
        "nodes": [
            {
                "replica": node.replica,
                "node_id": node.node_id,
                "address": node.address,
                "life": node.life,
            }
            for node in cluster_map.nodes
        ],
        "next_replica": cluster_map.next_replica,
        "partitions": [
            {"partition": info.partition, "replicas": info.replicas, "founders": info.founders}
            for info in cluster_map.partitions
        ],
        "settings": {name: getattr(cluster_map.settings, name) for name in _SETTINGS},
    }


def _map(fields: _Fields) -> ClusterMap:
    has_lives = _check_format(fields, _MAP_FORMATS) == MAP_FORMAT
    with _naming(fields.path):
        cluster_map = ClusterMap(
            cluster_id=fields.text("cluster_id"),
            epoch=fields.number("epoch"),
            nodes=tuple(_node(node, has_lives) for node in fields.nested_list("nodes")),
            partitions=tuple(
                _partition(info, has_lives) for info in fields.nested_list("partitions")
            ),
            settings=_settings(fields.nested("settings")),
            next_replica=ReplicaId(_next_replica(fields) if has_lives else 0),
        )
    fields.end()
    return cluster_map


def _node(fields: _Fields, has_lives: bool) -> NodeInfo:
    with _naming(fields.path):
        node = NodeInfo(
            replica=ReplicaId(fields.number("replica")),
            node_id=NodeId(fields.text("node_id")),
            address=fields.text("address"),
            life=fields.number("life") if has_lives else 0,
        )
    fields.end()
    return node


def _partition(fields: _Fields, has_lives: bool) -> PartitionInfo:
    with _naming(fields.path):
        info = PartitionInfo(
            partition=PartitionId(fields.number("partition")),
            replicas=tuple(map(ReplicaId, fields.numbers("replicas"))),
            founders=tuple(map(ReplicaId, _founders(fields))) if has_lives else (),
        )
    fields.end()
    return info


def _settings(fields: _Fields) -> ClusterSettings:
    with _naming(fields.path):
        settings = ClusterSettings(**{name: fields.number(name) for name in _SETTINGS})
    fields.end()
    return settings


def _by_number(fields: _Fields, name: str, key: str, value: str) -> dict[Any, Any]:
    """The list `name` of pairs of numbers, which its callers know to be ids."""
    found: dict[int, int] = {}
    for item in fields.nested_list(name):
        number = item.number(key)
        if number in found:
            raise CodecError(f"{item.path}.{key} {number} stands there twice")
        found[number] = item.number(value)
        item.end()
    return found


def _founders(fields: _Fields) -> list[int]:
    """As they stand there: none would be taken for those that hold it now."""
    founders = fields.numbers("founders")
    if not founders:
        raise CodecError(f"{fields.path}.founders is empty")
    return founders


def _next_replica(fields: _Fields) -> int:
    """As it stands there: 0 would let the map choose it."""
    number = fields.number("next_replica")
    if number < 1:
        raise CodecError(f"{fields.path}.next_replica is {number}; it must be 1 or more")
    return number


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


def _check_format(fields: _Fields, known: Collection[int]) -> int:
    found = fields.number("format")
    if found not in known:
        formats = " and ".join(map(str, known))
        raise CodecError(
            f"{fields.path}.format {found} is not known here; {formats}"
            f" {'is' if len(known) == 1 else 'are'}"
        )
    return found


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
