"""What the data directory of a node that does not run holds. Changes nothing in it."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from cluster.ids import GroupId
from cluster.raft.messages import Entry
from cluster.raft.ready import HardState
from kvstore.codec.byteslist import CodecError
from kvstore.commitlog.commit_log import Position, Record
from kvstore.commitlog.file_names import segment_name
from kvstore.commitlog.survey import Finding, LogSurvey, LogSurveyor
from kvstore.damage_mark import read_damage
from kvstore.data_directory import ENGINE_FOLDER, LOCK_NAME, LOG_FOLDER, lock_holder
from kvstore.errors import ConfigurationError, CorruptionError, KVStoreError
from kvstore.identity import IDENTITY_NAME, Identity, read_identity
from kvstore.replica.log_records import (
    Bounds,
    RecordKind,
    decode_bounds,
    decode_entries,
    decode_hard_state,
    entry_range,
)
from kvstore.replica.run_index import RunIndex
from kvstore.storage.engine import Engine
from kvstore.storage.position import load_position
from kvstore.storage.quarantine import check_not_quarantined
from kvstore.storage.read_only import open_read_only
from kvstore.system import ReadOnlyFileSystem


@dataclass(slots=True)
class GroupSurvey:
    """What the log, and the engine, hold of one group."""

    group: GroupId
    hard_state: HardState = field(default_factory=HardState)
    """As last written: the commit index is a hint."""
    bounds: Bounds = field(default_factory=Bounds)
    """What is before the log: its last entry that was compacted."""
    first_index: int | None = None
    """None: the log has no entry of it."""
    last_index: int = 0
    records: int = 0
    other_kinds: Counter[int] = field(default_factory=Counter)
    """Records of kinds that are not known here, by kind."""
    applied_index: int | None = None
    """Of the state in the engine; None: not known."""


@dataclass(slots=True)
class NodeSurvey:
    """What a data directory holds."""

    path: str
    identity: Identity | None
    log: LogSurvey
    groups: dict[GroupId, GroupSurvey]
    findings: list[Finding]
    """Damage, and a torn tail; in the log and elsewhere."""
    notes: list[str]
    """What could not be looked at, and why."""

    @property
    def is_damaged(self) -> bool:
        """Whether a node would refuse to start on it."""
        return any(finding.is_damage for finding in self.findings)


class StoppedNode:
    """A data directory that no process uses. Bounded in memory: 32 bytes for each record of the
    group that is asked for, and one record at a time."""

    def __init__(self, path: str) -> None:
        """Raises ConfigurationError when it is in use, no data directory or of a newer format."""
        self._files = ReadOnlyFileSystem()
        self._path = path
        self._log_folder = posixpath.join(path, LOG_FOLDER)
        self._surveyor = LogSurveyor(self._files, self._log_folder)
        self._groups: dict[GroupId, GroupSurvey] = {}
        self._findings: list[Finding] = []
        self._notes: list[str] = []
        self._wanted: GroupId | None = None
        self._runs = RunIndex()
        try:
            names = self._files.list(path)
        except (FileNotFoundError, NotADirectoryError):
            names = []
        if IDENTITY_NAME not in names and LOG_FOLDER not in names:
            raise ConfigurationError(f"{path} is no data directory of a node")
        self.check_unused()
        self._identity = self._read_identity()
        damage = read_damage(self._files, path)
        if damage is not None:
            self._notes.append(f"marked as damaged, and not used any more: {damage.reason}")

    def check_unused(self) -> None:
        """Raises ConfigurationError when a node uses the directory: what was read meanwhile, or is
        read, may be of two different moments."""
        if self._files.is_locked(posixpath.join(self._path, LOCK_NAME)):
            raise ConfigurationError(
                f"a node runs on {self._path} (process {lock_holder(self._files, self._path)}):"
                " stop it first"
            )

    def survey(self, wanted: GroupId | None = None) -> NodeSurvey:
        """Reads everything; afterwards `entries` has those of the group `wanted`."""
        self._wanted = wanted
        log = self._surveyor.survey(self._visit)
        if not log.segments:
            self._miss_log()
        self._read_engine()
        self._check_beginnings()
        groups = dict(sorted(self._groups.items()))
        findings = [*log.findings, *self._findings]
        return NodeSurvey(self._path, self._identity, log, groups, findings, self._notes)

    def entries(self) -> Iterator[Entry]:
        """The entries of the wanted group, in order, as they would be after a start."""
        group = self._groups.get(self._wanted) if self._wanted is not None else None
        index = group.first_index if group is not None else None
        while group is not None and index is not None and index <= group.last_index:
            run = self._runs.find(index)
            if run is None:
                return
            position, next_run = run
            record = decode_entries(self._surveyor.read(position))
            end = group.last_index + 1 if next_run is None else next_run
            yield from (entry for entry in record if index <= entry.index < end)
            index = max(min(record[-1].index + 1, end), index + 1)

    def close(self) -> None:
        """Lets go of all files."""
        self._surveyor.close()

    def _read_identity(self) -> Identity | None:
        path = posixpath.join(self._path, IDENTITY_NAME)
        try:
            identity = read_identity(self._files, self._path)
        except CorruptionError as problem:
            self._findings.append(Finding(path, 0, str(problem), is_damage=True))
            return None
        if identity is None:
            self._findings.append(Finding(path, 0, "the file is missing", is_damage=True))
        return identity

    def _miss_log(self) -> None:
        """No segment: fine only for a node that never got as far as to make one."""
        if self._identity is None or self._identity.replica_id is None:
            self._notes.append("there is no commit log yet")
            return
        problem = "the commit log is gone, though the node was a member of a cluster"
        self._findings.append(Finding(self._log_folder, 0, problem, is_damage=True))

    def _find_quarantine(self, folder: str, engine: Engine, group: GroupId) -> None:
        try:
            check_not_quarantined(engine, group)
        except CorruptionError as problem:
            self._findings.append(Finding(folder, 0, str(problem), is_damage=True))

    def _visit(self, record: Record, position: Position) -> None:
        group = self._groups.get(GroupId(record.group))
        if group is None:
            group = self._groups[GroupId(record.group)] = GroupSurvey(GroupId(record.group))
        group.records += 1
        try:
            if record.kind == RecordKind.ENTRIES:
                self._take_entries(group, record.payload, position)
            elif record.kind == RecordKind.HARD_STATE:
                group.hard_state = decode_hard_state(record.payload)
            elif record.kind == RecordKind.BOUNDS:
                self._take_bounds(group, decode_bounds(record.payload))
            else:
                group.other_kinds[record.kind] += 1
        except CodecError as problem:
            self._find_at(position, f"a record that is none: {problem}")

    def _take_entries(self, group: GroupSurvey, payload: bytes, position: Position) -> None:
        """An entries record replaces what its group holds from its first index on."""
        first, last = entry_range(payload)
        if last <= group.bounds.index:
            return
        if group.first_index is None or first < group.first_index:
            group.first_index = max(first, group.bounds.index + 1)
        elif first > group.last_index + 1:
            missing = f"entries {group.last_index + 1} to {first - 1} of group {group.group}"
            self._find_at(position, f"{missing} are missing before it")
            group.first_index = first
        group.last_index = last
        if group.group == self._wanted:
            self._runs.add(first, position)

    def _check_beginnings(self) -> None:
        for group in self._groups.values():
            before = group.bounds.index
            if group.first_index is not None and group.first_index > before + 1:
                missing = f"entries {before + 1} to {group.first_index - 1} of group {group.group}"
                problem = f"{missing} are missing"
                self._findings.append(Finding(self._log_folder, 0, problem, is_damage=True))

    def _take_bounds(self, group: GroupSurvey, bounds: Bounds) -> None:
        """Entries up to the bounds are not part of the log any more."""
        if bounds.index <= group.bounds.index:
            return
        group.bounds = bounds
        if bounds.index >= group.last_index:
            group.first_index, group.last_index = None, bounds.index
        elif group.first_index is not None:
            group.first_index = max(group.first_index, bounds.index + 1)

    def _find_at(self, position: Position, problem: str) -> None:
        path = posixpath.join(self._log_folder, segment_name(position.segment))
        self._findings.append(Finding(path, position.offset, problem, is_damage=True))

    def _read_engine(self) -> None:
        folder = posixpath.join(self._path, ENGINE_FOLDER)
        if not self._files.exists(folder):
            self._notes.append("there is no engine yet")
            return
        try:
            with open_read_only(folder) as engine:
                for group in self._groups.values():
                    group.applied_index = load_position(engine, group.group).applied_index
                    self._find_quarantine(folder, engine, group.group)
        except CorruptionError as problem:
            self._findings.append(Finding(folder, 0, str(problem), is_damage=True))
        except (KVStoreError, OSError) as problem:
            self._notes.append(f"the engine could not be read: {problem}")
        for group in self._groups.values():
            if (group.applied_index or 0) > group.last_index:
                problem_text = (
                    f"group {group.group} has applied {group.applied_index} entries, but its log"
                    f" ends at {group.last_index}"
                )
                self._findings.append(Finding(folder, 0, problem_text, is_damage=True))
