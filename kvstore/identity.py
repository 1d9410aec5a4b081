"""Whose data a directory holds: the file that says so (docs/format-data-directory.md)."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cluster.ids import NodeId, ReplicaId
from kvstore.environment import FileSystem
from kvstore.errors import ConfigurationError, CorruptionError
from kvstore.sealed_file import Damaged, read_file, seal, unseal

FORMAT: Final = 2
_FORMAT_WITHOUT_LIFE: Final = 1
IDENTITY_NAME: Final = "IDENTITY"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose data this is."""

    node_id: NodeId
    cluster_id: str | None = None
    """None until the node knows its cluster."""
    replica_id: ReplicaId | None = None
    """None until the cluster gave it one."""
    life: int = 0
    """The token of its life, from 1; 0: none yet, in a directory of format 1."""
    members: Mapping[ReplicaId, str] | None = None
    """Of one that joined a cluster that was there: its nodes then, and their addresses."""
    rebuilds: int = 0
    """How many lives before it, in a row, ended because their data were damaged."""


class NewerFormat(Exception):
    """An identity of a format that is not known here; the message is the format."""


def read_identity(files: FileSystem, path: str) -> Identity | None:
    """Whose data the directory at `path` holds; None where nothing says so. Changes nothing.

    Raises CorruptionError when it is damaged, ConfigurationError when it is of a newer format.
    """
    file_path = posixpath.join(path, IDENTITY_NAME)
    if not files.exists(file_path):
        return None
    try:
        return decode_identity(read_file(files, file_path))
    except Damaged as problem:
        raise CorruptionError(f"{file_path} is damaged: {problem}") from problem
    except NewerFormat as newer:
        raise unknown_format(path, newer) from newer


def encode_identity(identity: Identity) -> bytes:
    """`identity` as the file that holds it."""
    members = identity.members
    fields: dict[str, object] = {
        "format": FORMAT,
        "node_id": identity.node_id,
        "life": identity.life,
        "cluster_id": identity.cluster_id,
        "replica_id": identity.replica_id,
        "members": None
        if members is None
        else {str(replica): address for replica, address in members.items()},
    }
    if identity.rebuilds:
        fields["rebuilds"] = identity.rebuilds
    return seal(fields)


def decode_identity(data: bytes) -> Identity:
    """The identity in a file's bytes; raises Damaged or NewerFormat."""
    fields = unseal(data)
    if fields.get("format") not in (_FORMAT_WITHOUT_LIFE, FORMAT):
        raise NewerFormat(fields.get("format"))
    try:
        members = fields["members"] if fields["format"] == FORMAT else None
        return Identity(
            NodeId(fields["node_id"]),
            fields["cluster_id"],
            None if fields["replica_id"] is None else ReplicaId(fields["replica_id"]),
            fields["life"] if fields["format"] == FORMAT else 0,
            None
            if members is None
            else {ReplicaId(int(replica)): members[replica] for replica in members},
            fields.get("rebuilds", 0),
        )
    except KeyError as problem:
        raise Damaged(f"it has no {problem}") from problem


def unknown_format(path: str, newer: NewerFormat) -> ConfigurationError:
    """What to say of the directory at `path`."""
    return ConfigurationError(
        f"the data directory {path} has format {newer}, and this release knows only {FORMAT}:"
        " start the release that wrote it, or a newer one"
    )
