"""A node's data directory: whose data it holds, of which life, and that only one process uses it.

```
LOCK        held by the process that uses the directory; holds its process id
IDENTITY    JSON: node, cluster, replica id and life             (kvstore/identity.py)
DAMAGED     JSON: why the data must not be used                  (kvstore/damage_mark.py)
log/        the commit log
engine/     the engine's files
set-aside/  log/ and engine/ of the life before, which was damaged
```

A *life* begins with an empty directory, or where damaged data were given up, and is told by a
random token. It is on stable storage before the node says anything to others.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from cluster.ids import NodeId, ReplicaId
from kvstore.ballast import BALLAST_NAME, Ballast
from kvstore.damage_mark import DAMAGED_NAME, Damage, read_damage, remove_damage, write_damage
from kvstore.environment import DISK_FULL, FileSystem, Lock
from kvstore.errors import ConfigurationError
from kvstore.identity import (
    IDENTITY_NAME,
    Identity,
    NewerFormat,
    decode_identity,
    encode_identity,
    unknown_format,
)
from kvstore.sealed_file import UNFINISHED, Damaged, read_file, write_file

LOCK_NAME: Final = "LOCK"
LOG_FOLDER: Final = "log"
ENGINE_FOLDER: Final = "engine"
SET_ASIDE_FOLDER: Final = "set-aside"

_LOCK_BYTES_MAX: Final = 64
_MAY_STAND_IN_A_NEW_ONE: Final = frozenset({LOCK_NAME, IDENTITY_NAME + UNFINISHED, "lost+found"})
"""What a first start that was interrupted leaves behind, and what a fresh file system has."""
_OURS: Final = _MAY_STAND_IN_A_NEW_ONE | {
    IDENTITY_NAME,
    DAMAGED_NAME,
    DAMAGED_NAME + UNFINISHED,
    LOG_FOLDER,
    ENGINE_FOLDER,
    SET_ASIDE_FOLDER,
    BALLAST_NAME,
}
"""Everything that a data directory has in it."""
_HAS_DATA: Final = frozenset({LOG_FOLDER, ENGINE_FOLDER, DAMAGED_NAME})
"""What is made only after the identity was."""


@dataclass(frozen=True, slots=True)
class _Lost:
    """There are data, and what says whose they are is gone."""

    reason: str


class DataDirectory:
    """An open data directory, locked until `close`. One thread at a time."""

    __slots__ = ("_damage", "_files", "_identity", "_lock", "_random", "path")

    def __init__(
        self, files: FileSystem, path: str, lock: Lock, identity: Identity, random: Random
    ) -> None:
        self._files = files
        self._lock = lock
        self._identity = identity
        self._random = random
        self._damage: Damage | None = None
        self.path = path

    @classmethod
    def open(
        cls, path: str, node_id: NodeId, files: FileSystem, process_id: int, random: Random
    ) -> DataDirectory:
        """Opens and locks the data directory at `path`; makes it if there is none.

        `process_id` is of this process, and shown to others that want the directory. `random`
        gives the tokens of lives.

        One that has data and has lost its identity is opened as damaged: whose life they are of is
        not known any more, so they must not be used.

        Raises ConfigurationError when it is in use, of another node, of a newer format, damaged
        without any data in it, no data directory at all, or cannot be read or written. Nothing that
        was there is changed then.
        """
        try:
            # Looked at before the lock is taken, so that a directory that is not ours stays
            # untouched; and again after, because another process may have been at work.
            _read_identity(files, path, node_id)
            files.make_folder(path)
            lock = _lock(files, path, process_id)
            try:
                found = _read_identity(files, path, node_id)
                identity = found if isinstance(found, Identity) else Identity(node_id)
                if identity.life:
                    # It may be there only because its writer died before this.
                    files.sync_folder(path)
                elif not isinstance(found, _Lost):
                    identity = replace(identity, life=_new_life(random))
                    write_file(files, path, IDENTITY_NAME, encode_identity(identity))
                directory = cls(files, path, lock, identity, random)
                directory._read_damage()
                if isinstance(found, _Lost):
                    directory.mark_damaged(found.reason)
            except BaseException:
                lock.release()
                raise
        except OSError as problem:
            raise _unusable(path, problem) from problem
        return directory

    @property
    def node_id(self) -> NodeId:
        """The node it belongs to."""
        return self._identity.node_id

    @property
    def cluster_id(self) -> str | None:
        """The cluster it belongs to; None until that is recorded."""
        return self._identity.cluster_id

    @property
    def replica_id(self) -> ReplicaId | None:
        """The replica id the cluster gave it; None until that is recorded."""
        return self._identity.replica_id

    @property
    def life(self) -> int:
        """The token of the life whose data these are; 0: that is not known any more."""
        return self._identity.life

    @property
    def members(self) -> Mapping[ReplicaId, str] | None:
        """Of one that joined a cluster that was there: its nodes then, and their addresses."""
        return self._identity.members

    @property
    def rebuilds(self) -> int:
        """How often in a row damaged data were given up here."""
        return self._identity.rebuilds

    @property
    def damage(self) -> Damage | None:
        """Why the data must not be used; None: they may."""
        return self._damage

    @property
    def log_folder(self) -> str:
        """Where the commit log is."""
        return posixpath.join(self.path, LOG_FOLDER)

    @property
    def engine_folder(self) -> str:
        """Where the engine's files are."""
        return posixpath.join(self.path, ENGINE_FOLDER)

    def record_identity(self, cluster_id: str, replica_id: ReplicaId) -> None:
        """Records once and for all what the cluster said; on stable storage when this returns.

        The same again does nothing. Raises ConfigurationError when another cluster or replica id
        was recorded before, or when it cannot be written.
        """
        known = self._identity
        if known.cluster_id is not None or known.replica_id is not None:
            if (known.cluster_id, known.replica_id) == (cluster_id, replica_id):
                return
            raise ConfigurationError(
                f"the data directory {self.path} is of replica {known.replica_id} in cluster"
                f" {known.cluster_id}, not of replica {replica_id} in cluster {cluster_id}: start"
                " this node with an empty data directory, or in the cluster that it belongs to"
            )
        self._record(replace(known, cluster_id=cluster_id, replica_id=replica_id))

    def mark_damaged(self, reason: str) -> Damage:
        """Records that the data must not be used any more; on stable storage when this returns.

        What is recorded stays until a new life begins, and so does the token that it will have.
        Raises ConfigurationError when it cannot be written.
        """
        if self._damage is None:
            damage = Damage(reason, _new_life(self._random))
            try:
                self._write_damage(damage)
            except OSError as problem:
                raise _unusable(self.path, problem) from problem
            self._damage = damage
        return self._damage

    def _write_damage(self, damage: Damage) -> None:
        try:
            write_damage(self._files, self.path, damage)
        except OSError as problem:
            if problem.errno not in DISK_FULL:
                raise
            # A start on a full disk has this in reserve, and there is nothing it needs more.
            Ballast(self._files, self.path, 0).give_up()
            write_damage(self._files, self.path, damage)

    def begin_life(
        self, cluster_id: str, replica_id: ReplicaId, members: Mapping[ReplicaId, str]
    ) -> None:
        """Begins a new life, as `replica_id` among `members` (addresses, by replica id).

        Damaged data are set aside first, in place of what was set aside before. Where it ends in
        the middle, the same again completes it. Raises ConfigurationError when it cannot be done.
        """
        damage = self._damage
        life = self.life if damage is None else damage.next_life
        try:
            if damage is not None:
                self._set_aside()
            self._record(
                replace(
                    self._identity,
                    cluster_id=cluster_id,
                    replica_id=replica_id,
                    life=life,
                    members=dict(sorted(members.items())),
                    rebuilds=0 if damage is None else self.rebuilds + 1,
                )
            )
            if damage is not None:
                self._forget_damage()
        except OSError as problem:
            raise _unusable(self.path, problem) from problem

    def forget_rebuilds(self) -> None:
        """They count no more. Raises ConfigurationError when that cannot be written."""
        self._record(replace(self._identity, rebuilds=0))

    def _record(self, identity: Identity) -> None:
        try:
            write_file(self._files, self.path, IDENTITY_NAME, encode_identity(identity))
        except OSError as problem:
            raise _unusable(self.path, problem) from problem
        self._identity = identity

    def _set_aside(self) -> None:
        """One life's remains are kept, for whoever wants to know what was wrong with them."""
        aside = posixpath.join(self.path, SET_ASIDE_FOLDER)
        self._files.make_folder(aside)
        for folder in (LOG_FOLDER, ENGINE_FOLDER):
            source, target = posixpath.join(self.path, folder), posixpath.join(aside, folder)
            if not self._files.exists(source):
                continue  # set aside before a crash, or never made
            if self._files.exists(target):
                self._files.remove_folder(target)
            self._files.rename(source, target)
        self._files.sync_folder(aside)
        self._files.sync_folder(self.path)

    def _read_damage(self) -> None:
        self._damage = read_damage(self._files, self.path)
        if self._damage is not None and self._damage.next_life == self.life:
            self._forget_damage()  # a crash came right after the new life had begun

    def _forget_damage(self) -> None:
        remove_damage(self._files, self.path)
        self._damage = None

    def close(self) -> None:
        """Lets another process have it. Closing twice does nothing."""
        self._lock.release()


def lock_holder(files: FileSystem, path: str) -> str:
    """Who wrote the lock file of the directory at `path` last: a process id, for messages."""
    holder = read_file(files, posixpath.join(path, LOCK_NAME), _LOCK_BYTES_MAX)
    return holder.decode("ascii", "replace").strip() or "(unknown)"


def _read_identity(files: FileSystem, path: str, node_id: NodeId) -> Identity | _Lost | None:
    """The identity of the directory at `path`, checked; None where one can be made.

    Changes nothing. Raises ConfigurationError, or OSError when it cannot be read.
    """
    if not files.exists(path):
        return None
    names = files.list(path)
    has_lost_it = not _HAS_DATA.isdisjoint(names) and _OURS.issuperset(names)
    if IDENTITY_NAME not in names:
        if has_lost_it:
            return _Lost(f"{posixpath.join(path, IDENTITY_NAME)} is gone")
        foreign = sorted(set(names) - _MAY_STAND_IN_A_NEW_ONE)
        if foreign:
            raise ConfigurationError(
                f"{path} is not a kvstore data directory and not empty (it has"
                f" {foreign[0]!r}): name an empty or a new directory"
            )
        return None
    file_path = posixpath.join(path, IDENTITY_NAME)
    try:
        identity = decode_identity(read_file(files, file_path))
    except Damaged as problem:
        if has_lost_it:
            return _Lost(f"{file_path} is damaged: {problem}")
        raise ConfigurationError(
            f"{file_path} is damaged ({problem}): restore it from a backup, or let this node start"
            " anew with an empty data directory"
        ) from problem
    except NewerFormat as newer:
        raise unknown_format(path, newer) from newer
    if identity.node_id != node_id:
        raise ConfigurationError(
            f"the data directory {path} is of node {identity.node_id!r}, not of node {node_id!r}:"
            " give each node a directory of its own"
        )
    return identity


def _new_life(random: Random) -> int:
    return random.getrandbits(64) or 1


def _lock(files: FileSystem, path: str, process_id: int) -> Lock:
    lock_path = posixpath.join(path, LOCK_NAME)
    try:
        return files.lock(lock_path, f"{process_id}\n".encode())
    except BlockingIOError as problem:
        raise ConfigurationError(
            f"the data directory {path} is in use by process {lock_holder(files, path)}: stop that"
            " process first, or name another directory"
        ) from problem


def _unusable(path: str, problem: OSError) -> ConfigurationError:
    reason = problem.strerror or str(problem)
    place = problem.filename or path
    if problem.errno in DISK_FULL:
        return ConfigurationError(
            f"the data directory {path} cannot be used ({place}: {reason}): make room on its disk"
            " and start again"
        )
    return ConfigurationError(
        f"the data directory {path} cannot be used ({place}: {reason}): make it a directory that"
        " this user may read and write, on a disk that works"
    )
