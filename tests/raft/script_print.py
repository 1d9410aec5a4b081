"""How scripts print messages, bundles and replicas. An entry at index 3 of term 2 is 3@2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from cluster.raft import (
    AppendRequest,
    AppendResponse,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    PeerStatus,
    Raft,
    Ready,
    Role,
    SnapshotMeta,
    SnapshotRequest,
    Status,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
    decode_configuration,
)

DATA_SHOWN_MAX = 12


def kind_of(message: Message) -> str:
    """The word that scripts have for this kind of message."""
    if isinstance(message, VoteRequest):
        return "prevote" if message.pre_vote else "vote"
    if isinstance(message, VoteResponse):
        return "prevote-reply" if message.pre_vote else "vote-reply"
    return _KINDS[type(message)]


_KINDS = {
    AppendRequest: "append",
    AppendResponse: "append-reply",
    HeartbeatRequest: "heartbeat",
    HeartbeatResponse: "heartbeat-reply",
    TimeoutNow: "timeout-now",
    SnapshotRequest: "snapshot",
}

KINDS = frozenset({*_KINDS.values(), "prevote", "prevote-reply", "vote", "vote-reply"})


def message_line(message: Message) -> str:
    """One message: 1->2 append t8 after 10@6, commit 9: 11@8."""
    head = f"{message.sender}->{message.to} {kind_of(message)} t{message.term}"
    return head + _body(message)


def _body(message: Message) -> str:
    match message:
        case VoteRequest():
            handover = ", handover" if message.handover else ""
            return f" with a log to {message.last_index}@{message.last_term}{handover}"
        case VoteResponse():
            return " granted" if message.granted else " refused"
        case AppendRequest():
            after = f" after {message.prev_index}@{message.prev_term}, commit {message.commit}"
            return after + (f": {entries_line(message.entries)}" if message.entries else "")
        case AppendResponse():
            if message.accepted:
                return f" has {message.index}"
            hint = f"{message.hint_index}@{message.hint_term}"
            return f" lacks {message.index}, could match {hint}"
        case HeartbeatRequest():
            asked = f", read round {message.read_round}" if message.read_round else ""
            quiet = ", fall quiet" if message.fall_quiet else ""
            return f" commit {message.commit}{asked}{quiet}"
        case HeartbeatResponse():
            return f" read round {message.read_round}" if message.read_round else ""
        case SnapshotRequest():
            return f" of {snapshot_word(message.snapshot)}"
        case TimeoutNow():
            return ""


def snapshot_word(snapshot: SnapshotMeta) -> str:
    """What a snapshot covers, and who belongs to the group there."""
    return f"{snapshot.index}@{snapshot.term} [{members_line(snapshot.configuration)}]"


def entry_word(entry: Entry) -> str:
    """One entry with its payload, if it has one."""
    if entry.kind is EntryKind.MEMBERSHIP:
        return f"{entry.index}@{entry.term} [{members_line(decode_configuration(entry.data))}]"
    return f"{entry.index}@{entry.term}{_data(entry.data)}"


def members_line(configuration: Configuration) -> str:
    """Who belongs to the group: 1 2 4 and 1 2 3, learners 5."""
    sets = {
        "": configuration.voters,
        " and ": configuration.outgoing,
        "; learners ": configuration.learners,
        "; to be learners ": configuration.demoted,
    }
    words = [name + " ".join(map(str, sorted(some))) for name, some in sets.items() if some]
    return "".join(words) or "nobody"


def _data(data: bytes) -> str:
    if not data:
        return ""
    if len(data) > DATA_SHOWN_MAX:
        return f' "{data[:1].decode()}…" ({len(data)} bytes)'
    return f' "{data.decode()}"'


def entries_line(entries: Iterable[Entry]) -> str:
    """Several entries; runs without payload of one term are drawn together."""
    words: list[str] = []
    bare: list[tuple[int, int]] = []
    for entry in entries:
        if entry.data or entry.kind is not EntryKind.NORMAL:
            words += _runs(bare)
            bare = []
            words.append(entry_word(entry))
        else:
            bare.append((entry.index, entry.term))
    return ", ".join(words + _runs(bare))


def _runs(positions: Sequence[tuple[int, int]]) -> list[str]:
    runs: list[str] = []
    for term, group in groupby(positions, key=lambda position: position[1]):
        indexes = [index for index, _ in group]
        span = f"{indexes[0]}..{indexes[-1]}" if len(indexes) > 1 else f"{indexes[0]}"
        runs.append(f"{span}@{term}")
    return runs


def hard_state_line(state: HardState) -> str:
    """Term, vote and commit index."""
    return f"term {state.term}, vote {state.vote or 'none'}, commit {state.commit}"


def bundle_lines(replica: int, bundle: Ready) -> Iterator[str]:
    """Every part of a bundle, in the order in which they bind."""
    leader = f", leader {bundle.leader}" if bundle.leader else ""
    yield f"{replica} bundle {bundle.number}: {bundle.role.name} t{bundle.term}{leader}"
    sync = "" if bundle.must_sync else " (no sync)"
    if bundle.snapshot is not None:
        yield f"  install {snapshot_word(bundle.snapshot)}"
    if bundle.entries:
        yield f"  persist {entries_line(bundle.entries)}{sync}"
    if bundle.hard_state is not None:
        yield f"  persist {hard_state_line(bundle.hard_state)}{sync}"
    for message in bundle.messages:
        yield f"  send {message_line(message)}"
    for message in bundle.messages_after_persist:
        yield f"  after persist {message_line(message)}"
    if bundle.committed:
        yield f"  commit {entries_line(bundle.committed)}"
    for read in bundle.read_states:
        yield f"  read {read.context} at {read.index}"


def log_positions(raft: Raft) -> list[tuple[int, int]]:
    """(index, term) of the whole log. The core shows it to nobody: a script looks inside."""
    log = raft._log
    return [(index, log.term(index)) for index in range(log.first_index(), log.last_index + 1)]


def log_line(raft: Raft) -> str:
    """The terms of the log, and where it begins if it was compacted."""
    compacted = raft.status().first_index - 1
    behind = f"after {compacted}@{raft._log.term(compacted)}: " if compacted else ""
    return behind + (", ".join(_runs(log_positions(raft))) or "empty")


def status_lines(raft: Raft, began_with: Configuration) -> Iterator[str]:
    """All of one replica; its group, if that is not what it began with."""
    status = raft.status()
    quiet = ", quiet" if status.is_quiet else ""
    quiet += ", installing a snapshot" if status.is_installing else ""
    yield (
        f"{status.replica} {status.role.name} t{status.term}, vote {status.vote or 'none'}, "
        f"leader {status.leader or 'none'}{quiet}"
    )
    yield (
        f"  log {log_line(raft)}; persisted {status.persisted}, commit {status.commit}, "
        f"applied {status.applied}"
    )
    if status.configuration != began_with:
        yield f"  members {members_line(status.configuration)}"
    if status.role is Role.LEADER:
        yield from _leader_lines(status)


def _leader_lines(status: Status) -> Iterator[str]:
    waiting = [
        f"handing over to {status.transfer_to}" if status.transfer_to else "",
        f"{status.uncommitted_bytes} bytes uncommitted" if status.uncommitted_bytes else "",
        f"{status.reads_waiting} reads wait" if status.reads_waiting else "",
    ]
    if any(waiting):
        yield "  " + ", ".join(filter(None, waiting))
    for peer in status.peers:
        yield "  " + peer_line(peer)


def peer_line(peer: PeerStatus) -> str:
    """One follower, as its leader sees it."""
    words = [f"peer {peer.replica} {peer.state.name}", f"match {peer.match}"]
    if peer.snapshot_index is not None:
        words.append(f"snapshot of {peer.snapshot_index}")
    if peer.inflight_messages:
        words.append(f"{peer.inflight_messages} in flight ({peer.inflight_bytes} bytes)")
    if not peer.active:
        words.append("not heard")
    return ", ".join(words)


def features(raft: Raft) -> dict[str, str]:
    """What is compared before and after a step."""
    status = raft.status()
    log = raft._log
    return {
        "role": status.role.name,
        "term": str(status.term),
        "vote": str(status.vote or "none"),
        "leader": str(status.leader or "none"),
        "members": members_line(status.configuration),
        "first": str(status.first_index),
        "last": f"{log.last_index}@{log.last_term}",
        "persisted": str(status.persisted),
        "commit": str(status.commit),
        "applied": str(status.applied),
        "quiet": "yes" if status.is_quiet else "no",
        "handing over to": str(status.transfer_to or "none"),
    }


def change_line(replica: int, before: dict[str, str], after: dict[str, str]) -> str | None:
    """What changed between two `features`; None if nothing did."""
    changed = [
        f"{name} {old} => {after[name]}" for name, old in before.items() if old != after[name]
    ]
    return f"{replica}: {', '.join(changed)}" if changed else None
