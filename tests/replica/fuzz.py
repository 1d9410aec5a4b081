"""Chunks that nobody sent, for the reader of states: from one seed, as many as wanted.

    python -m tests.replica.fuzz --count 1000000 --seed 1

An input is a round of random bytes or of damaged ones, or a chunk of a stream with something wrong
in it: its data, its place, its checksum, what it says of the whole. Nothing may be raised but what
the peer service expects, nothing written but below the generation that is to come, no more kept
than one record, and a state that counts as whole must be one that was sent.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import xxhash
from google.protobuf.message import DecodeError

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft.configuration import Configuration
from cluster.raft.configuration_format import encode_configuration
from cluster.raft.snapshot import SnapshotMeta
from kvstore.codec.byteslist import CodecError
from kvstore.codec.state_transfer import (
    RECORD_BYTES_MAX,
    StateAck,
    StateChunk,
    checksum,
    encode_records,
)
from kvstore.environment import GroupMessage
from kvstore.generated.cluster.v1 import peer_pb2 as pb
from kvstore.replica.replica import Replica
from kvstore.replica.state_receiver import STREAMS_MAX, StateReceiver
from kvstore.storage.keys import Section, replica_end, replica_prefix, section_prefix
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.position import encode_position
from kvstore.wire.peer import Introduction, decode_round, encode_round

ME, LEADER = ReplicaId(1), ReplicaId(2)
GROUPS = [GroupId(number) for number in range(4)]
CONFIGURATION = Configuration(frozenset([ME, LEADER, ReplicaId(3)]))
CHUNK_BYTES_MAX = 300
INTRODUCTION = Introduction("c", 1, 2, "n2:7001")


class State:
    """One that a leader may send, in chunks."""

    def __init__(self, group: GroupId, random: Random) -> None:
        self.meta = SnapshotMeta(
            Index(random.randint(1, 9)), Term(random.randint(1, 3)), CONFIGURATION
        )
        prefix = replica_prefix(group, 0)
        sections = {
            section_prefix(group, 0, Section.STATE)[len(prefix) :]: encode_position(
                self.meta.index, 7, self.meta.term
            ),
            section_prefix(group, 0, Section.CONFIGURATION)[len(prefix) :]: encode_configuration(
                CONFIGURATION
            ),
        }
        data = section_prefix(group, 0, Section.DATA)[len(prefix) :]
        self.records = sections | {
            data + random.randbytes(4): random.randbytes(random.randrange(90))
            for _ in range(random.randrange(12))
        }
        keys = sorted(self.records)
        stream = encode_records(0, keys, [self.records[key] for key in keys])
        self.hash = xxhash.xxh3_64_intdigest(stream)
        size = random.randint(20, CHUNK_BYTES_MAX)
        self.pieces = [stream[at : at + size] for at in range(0, len(stream), size)]

    def chunk(self, stream: int, sequence: int, term: Term) -> StateChunk:
        """As it is sent."""
        data = self.pieces[sequence]
        is_last = sequence == len(self.pieces) - 1
        return StateChunk(
            LEADER,
            ME,
            term,
            self.meta,
            stream,
            sequence,
            data,
            checksum(data),
            self.hash if is_last else None,
        )


class Fuzzer:
    """Makes inputs and checks what becomes of them."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.outcomes: Counter[str] = Counter()
        self._states = {group: [State(group, self._random) for _ in range(8)] for group in GROUPS}
        self._streams = {group: (0, self._states[group][0], 0) for group in GROUPS}
        self._engine = MemoryEngine()
        self._replicas = {
            group: cast(
                "Replica",
                SimpleNamespace(
                    group=group,
                    is_installing=False,
                    core=SimpleNamespace(term=Term(1), commit=Index(2)),
                ),
            )
            for group in GROUPS[:-1]
        }
        self._receiver = StateReceiver(
            ME,
            self._engine,
            self._replicas,
            self._on_answer,
            lambda *_: None,
            has_room=lambda: True,
        )

    def run(self, count: int) -> None:
        for number in range(count):
            choice = self._random.random()
            if choice < 0.15:
                self._decode(self._random.randbytes(self._random.randrange(200)))
            elif choice < 0.4:
                self._decode(self._damaged_round())
            else:
                group = self._random.choice(GROUPS)
                self._hand_over(group, self._next_chunk(group))
            if number % 64 == 0:
                self._receiver.tick()

    def _decode(self, data: bytes) -> None:
        try:
            messages = decode_round(pb.Round.FromString(data))
        except (DecodeError, CodecError) as problem:
            self.outcomes[type(problem).__name__] += 1
            return
        self.outcomes["rounds"] += 1
        for group, message in messages:
            if isinstance(message, StateChunk):
                self._hand_over(group, message)

    def _hand_over(self, group: GroupId, chunk: StateChunk) -> None:
        self._receiver.on_chunk(group, chunk)
        assert self._receiver.streams <= STREAMS_MAX
        assert self._receiver.bytes_held <= RECORD_BYTES_MAX + CHUNK_BYTES_MAX
        replica = self._replicas.get(group)
        if replica is None:
            return
        for state in self._states[group]:
            generation = self._receiver.take(group, state.meta)
            if generation is not None:
                self._check_whole(group, generation)

    def _check_whole(self, group: GroupId, generation: int) -> None:
        self.outcomes["whole states"] += 1
        prefix, end = replica_prefix(group, generation), replica_end(group, generation)
        page = self._engine.scan(prefix, end, limit=1 << 20, bytes_max=1 << 30)
        found = {
            key[len(prefix) :]: value for key, value in zip(page.keys, page.values, strict=True)
        }
        assert any(found == state.records for state in self._states[group]), "it was never sent"
        everything = self._engine.scan(b"", None, limit=1 << 20, bytes_max=1 << 30).keys
        for key in everything:
            assert any(key.startswith(replica_prefix(each, 1)) for each in GROUPS[:-1])

    def _on_answer(self, group: GroupId, ack: StateAck) -> None:
        stream, state, sequence = self._streams.get(group, (0, self._states[GROUPS[0]][0], 0))
        if ack.refused or ack.expected < sequence:
            self._streams[group] = (stream, state, len(state.pieces))  # as a leader gives up
        self.outcomes["refused" if ack.refused else "acknowledged"] += 1

    # Inputs

    def _next_chunk(self, group: GroupId) -> StateChunk:
        """Of a stream that goes on, begins anew, or is changed on its way."""
        random = self._random
        stream, state, sequence = self._streams[group]
        if sequence >= len(state.pieces) or random.random() < 0.02:
            stream, state, sequence = (
                random.randrange(1 << 63),
                random.choice(self._states[group]),
                0,
            )
        chunk = state.chunk(stream, sequence, Term(random.choice([0, 1, 2, 2, 2, 9])))
        change = random.random()
        if change < 0.85:
            self._streams[group] = (stream, state, sequence + 1)
            return chunk
        self._streams[group] = (stream, state, sequence)
        match random.randrange(7):
            case 0:
                chunk.sequence = random.choice([0, sequence + 1, random.getrandbits(64)])
            case 1:
                chunk.stream = random.getrandbits(64)
            case 2:
                chunk.checksum = random.getrandbits(32)
            case 3:
                chunk.state_hash = random.choice([None, 0, state.hash, random.getrandbits(64)])
            case 4:
                chunk.snapshot = random.choice(self._states[group]).meta
            case 5:
                chunk.data = self._damaged(chunk.data)
            case _:
                chunk.data = self._damaged(chunk.data)
                chunk.checksum = checksum(chunk.data)
        return chunk

    def _damaged_round(self) -> bytes:
        group = self._random.choice(GROUPS)
        messages: list[GroupMessage] = [(group, self._next_chunk(group)) for _ in range(2)]
        for _, message in messages:
            cast("Any", message).checksum &= (1 << 32) - 1
        return self._damaged(encode_round(LEADER, ME, INTRODUCTION, messages).SerializeToString())

    def _damaged(self, data: bytes) -> bytes:
        random = self._random
        damaged = bytearray(data or b"\0")
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(damaged))
            match random.randrange(4):
                case 0:
                    damaged[at] ^= 1 << random.randrange(8)
                case 1:
                    damaged[at : at + 4] = random.choice((bytes(4), b"\xff" * 4))
                case 2 if at:
                    del damaged[at:]
                case _:
                    damaged[at:at] = random.randbytes(random.randrange(12))
        return bytes(damaged)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    fuzzer = Fuzzer(arguments.seed)
    began_s = time.monotonic()
    fuzzer.run(arguments.count)
    took_s = time.monotonic() - began_s
    print(f"{arguments.count} inputs in {took_s:.0f} s: {fuzzer.outcomes}")  # noqa: T201 - a command


if __name__ == "__main__":
    main()
