"""Inputs that nobody wrote, for the decoders of the log: from one seed, as many as wanted.

    python -m tests.commitlog.fuzz --count 1000000 --seed 1

An input is random bytes, a log with random damage, or frames whose checksums are right and whose
fields are not. Nothing may be raised but what says so, no more may be asked of the file at once
than a record may have, and what is handed over must be what was written.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from random import Random
from struct import Struct

from kvstore.commitlog.log_format import (
    ALIGNMENT,
    FRAME_HEADER_BYTES,
    MAGIC,
    SEGMENT_HEADER_BYTES,
    Position,
    Record,
    SegmentHeader,
    crc32c,
    decode_payload,
    decode_segment_header,
    encode_batch,
    encode_segment_header,
)
from kvstore.commitlog.log_reader import SegmentReader
from kvstore.errors import ConfigurationError, CorruptionError

PAYLOAD_BYTES_MAX = 5000
PIECE_BYTES = (1 << 20) + FRAME_HEADER_BYTES
"""What the reader asks for at once, at least."""
_FRAME = Struct("<QIIIQBBHI")
_SEGMENT = Struct("<IQQQQII")


class BytesFile:
    """A file to read that says when more is asked for at once than may be."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.asked_max = 0

    def pread(self, length: int, offset: int) -> bytes:
        self.asked_max = max(self.asked_max, length)
        return self._data[offset : offset + length]

    def size(self) -> int:
        return len(self._data)

    def pwritev(self, parts: Sequence[bytes], offset: int) -> None:
        raise AssertionError("written")

    def sync(self) -> None:
        raise AssertionError("synced")

    def allocate(self, length: int) -> None:
        raise AssertionError("allocated")

    def truncate(self, length: int) -> None:
        raise AssertionError("truncated")

    def close(self) -> None:
        pass


Written = dict[tuple[int, int], Record]
"""The records of a log by offset and length."""


class Fuzzer:
    """Makes inputs and checks what becomes of them."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.outcomes: Counter[str] = Counter()
        self._logs = [self._log(number) for number in range(64)]

    def run(self, count: int) -> None:
        for _ in range(count):
            choice = self._random.random()
            if choice < 0.2:
                self._check(self._noise(), None)
            elif choice < 0.7:
                data, written = self._random.choice(self._logs)
                self._check(self._damaged(data), written)
            else:
                self._check(self._forged(), None)

    def _check(self, data: bytes, written: Written | None) -> None:
        """`written` are the records that may be handed over; None: any."""
        try:
            header = decode_segment_header(data, "file", 3)
        except (CorruptionError, ConfigurationError) as problem:
            self.outcomes[type(problem).__name__] += 1
            return
        file = BytesFile(data)
        found: list[tuple[Record, Position]] = []
        reader = SegmentReader(file, header)
        walk = reader.walk(lambda record, position: found.append((record, position)), None)
        tail = reader.tail(walk)
        assert file.asked_max <= max(header.payload_bytes_max, PIECE_BYTES)
        assert SEGMENT_HEADER_BYTES <= walk.end <= walk.stopped
        assert walk.end < len(data) + ALIGNMENT, "at most the padding is missing"
        assert 0 <= tail.bytes_torn <= max(len(data) - walk.end, 0)
        for record, position in found:
            assert len(record.payload) <= header.payload_bytes_max
            end = position.offset + FRAME_HEADER_BYTES + position.length
            assert decode_payload(header, data[position.offset : end], position) is not None
            if written is not None:
                assert written[position.offset, position.length] == record
        self.outcomes["damage" if tail.proof is not None else "a log"] += 1
        self.outcomes["records"] += len(found)

    # Inputs

    def _log(self, number: int) -> tuple[bytes, Written]:
        """A log that is whole; every other one recycled, behind it another's frames."""
        random = self._random
        header = SegmentHeader(3, 1, 1 + number * 7, number, PAYLOAD_BYTES_MAX, number % 2 == 1)
        parts, written = [encode_segment_header(header)], {}
        offset = SEGMENT_HEADER_BYTES
        for batch in range(random.randint(0, 8)):
            records = [
                Record(random.randrange(9), random.randrange(4), random.randbytes(length))
                for length in (random.randrange(60) for _ in range(random.randint(1, 3)))
            ]
            frames, positions, offset = encode_batch(
                header, offset, header.first_batch + batch, random.randint(0, batch), records
            )
            parts += frames
            for record, position in zip(records, positions, strict=True):
                written[position.offset, position.length] = record
        if header.is_recycled:
            old = SegmentHeader(1, 1, 1, number, PAYLOAD_BYTES_MAX)
            parts += encode_batch(old, offset, 1, 0, [Record(1, 1, bytes(40))] * 3)[0]
        return b"".join(parts) + bytes(random.choice((0, 8, 100))), written

    def _noise(self) -> bytes:
        """Random bytes; often with the beginning of a segment, checksum and all."""
        random = self._random
        data = random.randbytes(random.randrange(400))
        if random.random() < 0.7:
            fields = _SEGMENT.pack(
                random.choice((1, 1, 1, random.getrandbits(32))),
                random.choice((3, random.getrandbits(64))),
                random.choice((1, 3, random.getrandbits(64))),
                self._number(64),
                self._number(64),
                self._number(32),
                self._number(32),
            )
            crc = crc32c(MAGIC + bytes(4) + fields)
            return MAGIC + crc.to_bytes(4, "little") + fields + data
        return data

    def _damaged(self, data: bytes) -> bytes:
        random = self._random
        damaged = bytearray(data)
        for _ in range(random.randint(1, 4)):
            size = len(damaged)
            if size < 64:
                break
            # Seldom in the header: nothing behind it would be looked at.
            at = random.randrange(size) if random.random() < 0.1 else random.randrange(56, size)
            match random.randrange(6):
                case 0 | 1:
                    damaged[at] ^= 1 << random.randrange(8)
                case 2:
                    damaged[at : at + random.randrange(64)] = bytes(random.randrange(64))
                case 3:
                    del damaged[at:]
                case 4:
                    source = random.randrange(56, size) & ~7
                    length = random.randrange(0, 128, 8)
                    damaged[at & ~7 : (at & ~7) + length] = damaged[source : source + length]
                case _:
                    damaged[at:at] = random.randbytes(random.randrange(64))
        return bytes(damaged)

    def _forged(self) -> bytes:
        """A segment whose frames have checksums that are right: the fields are any."""
        random = self._random
        header = SegmentHeader(
            3,
            random.choice((1, 3)),
            self._number(64),
            self._number(64),
            random.choice((0, 10, PAYLOAD_BYTES_MAX, 1 << 30)),
            random.random() < 0.5,
        )
        data = bytearray(encode_segment_header(header))
        for _ in range(random.randint(1, 5)):
            payload = random.randbytes(random.randrange(40))
            near = (header.first_batch + random.randrange(-2, 6)) & ((1 << 64) - 1)
            fields = _FRAME.pack(
                len(data) if random.random() < 0.9 else self._number(32),
                crc32c(payload),
                len(payload) if random.random() < 0.7 else self._number(32),
                self._number(32),
                near if random.random() < 0.9 else self._number(64),
                self._number(8),
                random.choice((0, 0, 0, 1, 255)),
                self._number(16),
                random.choice((0, 0, 1, 2, self._number(32))),
            )
            seed = Struct("<QQ").pack(3, header.salt)
            data += crc32c(seed + fields).to_bytes(4, "little") + fields[8:] + payload
            data += bytes(-len(payload) % 8)
        return bytes(data) + bytes(random.choice((0, 0, 64)))

    def _number(self, bits: int) -> int:
        """Small, anything, or the largest."""
        random = self._random
        most = (1 << bits) - 1
        return random.choice((0, 1, random.randrange(200), random.getrandbits(bits), most)) & most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    fuzzer = Fuzzer(arguments.seed)
    started_s = time.monotonic()
    fuzzer.run(arguments.count)
    elapsed_s = time.monotonic() - started_s
    print(f"{arguments.count} inputs in {elapsed_s:.0f} s: {dict(fuzzer.outcomes)}")  # noqa: T201


if __name__ == "__main__":
    main()
