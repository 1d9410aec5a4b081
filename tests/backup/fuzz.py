"""Random inputs to the reader, most of them close to a file: `python -m tests.backup.fuzz N`."""

from __future__ import annotations

import io
import re
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from random import Random

import google_crc32c

from kvstore.backup.file_format import FRAME_HEADER_BYTES, PROLOGUE_BYTES
from kvstore.backup.reader import BackupReader
from kvstore.errors import ConfigurationError, CorruptionError
from tests.backup.files import write_file


def outcome(file: bytes) -> str:
    """What came of reading `file`; anything but the two errors passes through."""
    try:
        with BackupReader(io.BytesIO(file), "f") as reader:
            for _ in reader.chunks():
                pass
    except (ConfigurationError, CorruptionError) as problem:
        text = str(problem)
        assert text.startswith("f")
        text = re.sub(r"(its format|unpacked): .*", r"\1", text)  # other libraries' words
        return re.sub(r"\d+|b'.*'|b\".*\"", "#", text)
    return "whole"


def peak_and_outcome(file: bytes) -> tuple[int, str | None]:
    """The most memory that reading `file` took, in bytes, and how it ended; None: well."""
    tracemalloc.start()
    try:
        ended = outcome(file)
        return tracemalloc.get_traced_memory()[1], None if ended == "whole" else ended
    finally:
        tracemalloc.stop()


def run(random: Random, count: int) -> Counter[str]:
    """Outcomes of `count` inputs."""
    with tempfile.TemporaryDirectory() as folder:
        seeds = []
        for number, compress in enumerate((False, True, False)):
            data = {random.randbytes(random.randint(1, 6)): b"v" * number * 9 for _ in range(12)}
            path = Path(folder) / str(number)
            write_file(path, data, partitions=number + 1, compress=compress)
            seeds.append(path.read_bytes())
    return Counter(outcome(_input(random, random.choice(seeds))) for _ in range(count))


def _input(random: Random, seed: bytes) -> bytes:
    if random.random() < 0.05:
        return random.randbytes(random.randint(0, 200))
    file = bytearray(seed)
    for _ in range(random.choice((0, 1, 1, 1, 2, 4))):
        if file:
            _damage(random, file)
    if random.random() < 0.7:
        _mend(file)
    return bytes(file)


def _damage(random: Random, file: bytearray) -> None:
    at = random.randrange(len(file))
    match random.randrange(6):
        case 0:
            file[at] ^= 1 << random.randrange(8)
        case 1:
            file[at : at + 4] = random.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\0\0\0"))
        case 2:
            del file[at : at + random.randint(1, 20)]
        case 3:
            file[at:at] = random.randbytes(random.randint(1, 20))
        case 4:
            other = random.randrange(len(file))
            file[at : at + 30] = file[other : other + 30]
        case _:
            del file[at:]


def _mend(file: bytearray) -> None:
    """Makes checksums right again, so that what is behind them is reached."""
    if len(file) < PROLOGUE_BYTES:
        return
    file[12:16] = google_crc32c.value(bytes(file[:12])).to_bytes(4, "little")
    at = PROLOGUE_BYTES
    while at + FRAME_HEADER_BYTES <= len(file):
        end = at + FRAME_HEADER_BYTES + int.from_bytes(file[at : at + 4], "little")
        start, payload = bytes(file[at : at + 8]), bytes(file[at + FRAME_HEADER_BYTES : end])
        checksum = google_crc32c.extend(google_crc32c.value(start), payload)
        file[at + 8 : at + FRAME_HEADER_BYTES] = checksum.to_bytes(4, "little")
        at = end


def main() -> None:
    """Runs as many inputs as asked for, and prints what came of them."""
    started_s = time.monotonic()
    for text, times in run(Random(), int(sys.argv[1])).most_common():
        sys.stdout.write(f"{times:9}  {text}\n")
    sys.stdout.write(f"{time.monotonic() - started_s:.1f} s\n")


if __name__ == "__main__":
    main()
