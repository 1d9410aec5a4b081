"""The file: what is written is read, and whatever was not written is refused with advice."""

from __future__ import annotations

import io
import os
import zlib
from dataclasses import replace
from pathlib import Path
from random import Random

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import PartitionId
from kvstore.backup.file_format import (
    FRAME_HEADER_BYTES,
    MAGIC,
    PROLOGUE_BYTES,
    FrameKind,
    encode_frame,
    encode_header,
    encode_prologue,
)
from kvstore.backup.reader import BackupReader
from kvstore.backup.writer import BackupWriter
from kvstore.codec.backup import SectionEnd, encode_rows
from kvstore.codec.record import decode_record, encode_record
from kvstore.errors import ConfigurationError, CorruptionError, InvariantViolation
from tests.backup import fuzz
from tests.backup.files import chunks_of, header, start, write_file, write_section

DATA = {b"key-%02d" % number: b"value-%d" % number * number for number in range(24)}


def read(file: bytes) -> dict[bytes, bytes]:
    with BackupReader(io.BytesIO(file), "some.backup") as reader:
        found = {}
        for chunk in reader.chunks():
            for key, record in zip(chunk.keys, chunk.records, strict=True):
                assert key not in found
                found[key] = decode_record(record).value
        assert reader.footer is not None
        assert reader.footer.records == len(found)
        return found


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def whole(tmp_path: Path, request: pytest.FixtureRequest) -> bytes:
    write_file(tmp_path / "whole", DATA, compress=request.param)
    return (tmp_path / "whole").read_bytes()


@given(
    st.dictionaries(st.binary(min_size=1, max_size=8), st.binary(max_size=40), max_size=20),
    st.integers(1, 5),
    st.booleans(),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    data: dict[bytes, bytes],
    partitions: int,
    compress: bool,
) -> None:
    path = tmp_path_factory.mktemp("file") / "a.backup"
    footer = write_file(path, data, partitions, compress=compress)
    assert read(path.read_bytes()) == data
    with BackupReader.open(path) as reader:
        assert reader.header == header(partitions)
        list(reader.chunks())
        assert reader.footer == footer
        assert reader.position_bytes == reader.size_bytes
    assert [section.start.partition for section in footer.sections] == list(range(partitions))


def test_records_keep_version_and_revisions(tmp_path: Path) -> None:
    write_file(tmp_path / "a", {b"k": b"v"}, partitions=1)
    with BackupReader.open(tmp_path / "a") as reader:
        (chunk,) = reader.chunks()
    record = decode_record(chunk.records[0])
    assert (record.version, record.create_revision, record.mod_revision) == (2, 3, 4)


def test_the_beginning_of_a_file_stays_as_documented() -> None:
    assert encode_prologue().hex() == "6b766261636b7570010000005c176f22"
    frame = encode_frame(FrameKind.ROWS, b"abc")
    assert frame.hex() == "0300000003000000df3185f8616263"


# What is refused


def test_every_truncation_is_refused_with_advice(whole: bytes) -> None:
    for length in range(len(whole)):
        with pytest.raises((CorruptionError, ConfigurationError)) as refusal:
            read(whole[:length])
        if length < len(MAGIC):
            assert str(refusal.value) == "some.backup is no backup that kvstore wrote"
        else:
            assert str(refusal.value).startswith("some.backup")
            assert "use another" in str(refusal.value)
        if length >= PROLOGUE_BYTES:
            assert "cut short: copy it again, or use another backup" in str(refusal.value)


def test_every_flipped_bit_is_refused(whole: bytes) -> None:
    for position in range(len(whole)):
        bad = bytearray(whole)
        bad[position] ^= 1 << position % 8
        with pytest.raises((CorruptionError, ConfigurationError)):
            read(bytes(bad))


def test_bytes_after_the_end_are_refused(whole: bytes) -> None:
    with pytest.raises(CorruptionError, match="bytes after the footer; it is damaged"):
        read(whole + b"\0")


@pytest.mark.parametrize("file", [b"", b"\x1f\x8b\x08\0rest of a gzip file", b'{"key": "a"}\n'])
def test_a_foreign_file_is_no_backup(file: bytes) -> None:
    with pytest.raises(ConfigurationError, match="is no backup that kvstore wrote"):
        read(file)


def test_another_format_is_named_with_what_to_use() -> None:
    newer = bytearray(encode_prologue())
    newer[8] = 9
    newer[12:] = google_crc32c.value(bytes(newer[:12])).to_bytes(4, "little")
    with pytest.raises(ConfigurationError, match=r"format 9, and this version .* reads format 1"):
        read(bytes(newer) + b"whatever")


def frames(file: bytes) -> list[bytes]:
    """The frames of a file, each as it stands."""
    found, at = [], PROLOGUE_BYTES
    while at < len(file):
        end = at + FRAME_HEADER_BYTES + int.from_bytes(file[at : at + 4], "little")
        found.append(file[at:end])
        at = end
    return found


def test_frames_that_are_lost_repeated_or_out_of_order_are_noticed(whole: bytes) -> None:
    """Each is whole for itself: it takes the sums over all to see it."""
    prologue, parts = whole[:PROLOGUE_BYTES], frames(whole)
    assert read(prologue + b"".join(parts)) == DATA
    for position in range(len(parts)):
        for changed in (
            parts[:position] + parts[position + 1 :],
            parts[: position + 1] + parts[position:],
            parts[:position] + parts[position : position + 2][::-1] + parts[position + 2 :],
        ):
            if changed != parts:
                with pytest.raises(CorruptionError):
                    read(prologue + b"".join(changed))


def test_the_sections_of_another_backup_do_not_pass(tmp_path: Path, whole: bytes) -> None:
    """Same length, same places, every frame right: only the hash of all tells."""
    other = {key: value.swapcase() for key, value in DATA.items()}
    write_file(tmp_path / "other", other)
    strange = (tmp_path / "other").read_bytes()
    plain = tmp_path / "plain"
    write_file(plain, DATA)
    mixed = strange[:PROLOGUE_BYTES] + b"".join(
        (*frames(strange)[:-1], frames(plain.read_bytes())[-1])
    )
    with pytest.raises(CorruptionError, match="the footer is of another file"):
        read(mixed)


def test_the_header_of_another_backup_does_not_pass(whole: bytes) -> None:
    """It has no part in the sections: only the hash of the file tells."""
    other = encode_frame(FrameKind.HEADER, encode_header(replace(header(2), cluster_id="c2")))
    changed = whole[:PROLOGUE_BYTES] + other + b"".join(frames(whole)[1:])
    with pytest.raises(CorruptionError, match="the footer is of another file"):
        read(changed)


@pytest.mark.parametrize(
    ("keys", "refusal"),
    [
        ([b"b", b"a"], "key b'a' stands after b'b'"),
        ([b"a", b"a"], "key b'a' stands after b'a'"),
        ([b""], "key b'' stands after b''"),
    ],
)
def test_keys_that_do_not_rise_are_refused(tmp_path: Path, keys: list[bytes], refusal: str) -> None:
    rows = encode_rows(keys, [encode_record(b"", 1, 1, 1)] * len(keys))
    with BackupWriter(tmp_path / "a") as writer:
        writer.header(header(1))
        writer.start(start(0))
        writer.rows(rows)
        writer.end(SectionEnd(PartitionId(0), len(keys), 0))
        writer.finish()
    with pytest.raises(CorruptionError) as problem:
        read((tmp_path / "a").read_bytes())
    assert refusal in str(problem.value)


def test_a_key_of_another_partition_is_refused(tmp_path: Path) -> None:
    (foreign, *_) = chunks_of(DATA, 1, 2)
    with BackupWriter(tmp_path / "a") as writer:
        writer.header(header(2))
        writer.start(start(0))
        writer.rows(foreign)
        writer.end(SectionEnd(PartitionId(0), 3, 0))
        write_section(writer, 1, 2, [])
        writer.finish()
    with pytest.raises(CorruptionError, match="does not belong to partition 0"):
        read((tmp_path / "a").read_bytes())


def test_a_frame_that_unpacks_to_more_than_a_frame_is_refused() -> None:
    bomb = bytearray(encode_frame(FrameKind.ROWS, zlib.compress(bytes(64 << 20))))
    bomb[5] = 1  # compressed
    checksum = google_crc32c.extend(google_crc32c.value(bytes(bomb[:8])), bytes(bomb[12:]))
    bomb[8:12] = checksum.to_bytes(4, "little")
    file = encode_prologue() + encode_frame(FrameKind.HEADER, encode_header(header(1)))
    file += encode_frame(FrameKind.SECTION_START, bytes(28)) + bytes(bomb)
    peak, problem = fuzz.peak_and_outcome(file)
    assert problem is not None
    assert "unpacks to more" in problem
    assert peak < 48 << 20


def test_whatever_the_bytes_reading_ends_with_a_sentence() -> None:
    outcomes = fuzz.run(Random(1), 6000)
    assert sum(outcomes.values()) == 6000
    # Inputs get deep enough: most kinds of refusals are seen, and whole files pass.
    assert len(outcomes) >= 12, outcomes


# The writer


def test_a_section_that_begins_again_leaves_no_trace(tmp_path: Path) -> None:
    longer = {b"other-%d" % number: b"x" * 99 for number in range(200)}
    write_file(tmp_path / "straight", DATA)
    with BackupWriter(tmp_path / "again") as writer:
        writer.header(header(2))
        for partition in (0, 1):
            for attempt in range(3):
                writer.start(start(partition, revision=attempt))
                for rows in chunks_of(longer, partition, 2):
                    writer.rows(rows)
            write_section(writer, partition, 2, chunks_of(DATA, partition, 2))
        writer.finish()
    assert (tmp_path / "again").read_bytes() == (tmp_path / "straight").read_bytes()


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a"
    writer = BackupWriter(path)
    writer.header(header(1))
    assert os.listdir(tmp_path) == ["a.partial"]
    with pytest.raises(KeyboardInterrupt), writer:
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []
    write_file(path, DATA)
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_takes_its_name_when_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    fsync, replace_file = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        steps.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        steps.append(f"rename {source.name} to {target.name}")
        replace_file(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_file(tmp_path / "a", DATA)
    assert steps == ["sync a.partial", "rename a.partial to a", f"sync {tmp_path.name}"]


def test_a_writer_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    with BackupWriter(tmp_path / "a") as writer:
        writer.header(header(1))
    assert os.listdir(tmp_path) == []


def test_an_existing_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"precious")
    with pytest.raises(ConfigurationError, match="a exists: choose another name, or give --force"):
        BackupWriter(path)
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_that_appears_meanwhile_is_not_touched_either(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with BackupWriter(path) as writer:
        writer.header(header(1))
        write_section(writer, 0, 1, [])
        path.write_bytes(b"precious")
        with pytest.raises(ConfigurationError, match="a exists"):
            writer.finish()
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_is_replaced_only_by_a_complete_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with BackupWriter(path, replace=True) as writer:
        writer.header(header(1))
        write_section(writer, 0, 1, [])
        assert path.read_bytes() == b"old"
        writer.finish()
    assert read(path.read_bytes()) == {}


def test_two_backups_to_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with BackupWriter(path, replace=True) as writer:
        with pytest.raises(
            ConfigurationError, match=r"a\.partial exists: a backup to .* under way"
        ):
            BackupWriter(path, replace=True)
        writer.header(header(1))
        write_section(writer, 0, 1, [])
        writer.finish()
    assert read(path.read_bytes()) == {}


def test_a_section_must_end_before_the_next(tmp_path: Path) -> None:
    with BackupWriter(tmp_path / "a") as writer:
        writer.header(header(2))
        writer.start(start(0))
        with pytest.raises(InvariantViolation):
            writer.start(start(1))
