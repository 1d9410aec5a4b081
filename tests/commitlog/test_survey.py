"""A log that is looked into: what is called damage is what a start refuses, and nothing changes."""

from __future__ import annotations

import re
from random import Random

import pytest

from kvstore.commitlog.commit_log import CommitLog, CommitLogOptions, Position, Record
from kvstore.commitlog.file_names import spare_name
from kvstore.commitlog.survey import LogSurvey, LogSurveyor, SegmentState
from kvstore.errors import ConfigurationError, CorruptionError
from kvstore.simulation.disk import MemoryFileSystem
from tests.commitlog.support import (
    FOLDER,
    Visited,
    flip,
    log_files,
    open_log,
    path_of,
    record,
    written,
)

SMALL = CommitLogOptions(segment_bytes=256, payload_bytes_max=4096, batch_bytes_max=16384, salt=9)


def survey_of(files: MemoryFileSystem) -> tuple[LogSurvey, list[Record]]:
    """Also checks that nothing on the disk was changed."""
    before = {name: files.contents(f"{FOLDER}/{name}") for name in log_files(files)}
    operations = files.operations
    visited = Visited()
    surveyor = LogSurveyor(files, FOLDER)
    survey = surveyor.survey(visited)
    for record_, position in zip(visited.records, visited.positions, strict=True):
        assert surveyor.read(position) == record_.payload
    surveyor.close()
    assert files.operations == operations
    assert before == {name: files.contents(f"{FOLDER}/{name}") for name in log_files(files)}
    return survey, visited.records


def check_against_a_start(files: MemoryFileSystem) -> str:
    """The survey and a start agree; returns what they found."""
    survey, records = survey_of(files)
    visited = Visited()
    damages = [(each.file, each.byte) for each in survey.findings if each.is_damage]
    refusal = ""
    cut = None
    try:
        log = CommitLog.open(files.copy(), FOLDER, SMALL, visited)
        cut = log.recovery.cut
        log.close()
    except CorruptionError as problem:
        refusal = str(problem)
    if refusal:
        named = re.match(r"(.*\.segment): .*?byte (\d+)", refusal)
        assert named is not None
        assert (named[1], int(named[2])) in damages, refusal
        return "damaged"
    assert not damages
    assert visited.records == records
    torn = [(each.file, each.byte) for each in survey.findings]
    assert torn == ([] if cut is None else [(cut.file, cut.offset)])
    return "torn" if torn else "whole"


def three_segments() -> MemoryFileSystem:
    batches = [[record(text)] for text in ("a" * 40, "b" * 20, "c" * 90, "d" * 60, "e" * 10)]
    files, positions = written(*batches, options=SMALL)
    assert [each[0].segment for each in positions] == [1, 1, 2, 3, 3]
    return files


def test_a_whole_log_is_described() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files, SMALL)
    for text in ("a" * 100, "b" * 100, "c" * 100):
        log.append([record(text)])
    log.release(2)
    log.append([record("d" * 100)])
    log.append([record("e" * 100)], sync=False)
    log.close()
    survey, records = survey_of(files)
    assert survey.findings == []
    assert survey.bytes_on_disk == log.bytes_on_disk
    assert survey.spares == log.spares
    assert [
        (each.segment, each.state, each.size, each.first_batch, each.last_batch, each.records)
        for each in survey.segments
    ] == [
        (number, SegmentState.WHOLE, 256, number, number, 1)
        for number in range(log.oldest_segment, log.active_segment + 1)
    ]
    assert [each.payload[:1] for each in records] == [b"b", b"c", b"d", b"e"]


def test_every_flipped_bit_is_called_what_a_start_calls_it() -> None:
    files = three_segments()
    met = set()
    for number in (1, 2, 3):
        for bit in range(0, 8 * 256, 3):
            flip(files, path_of(number), bit)
            met.add(check_against_a_start(files))
            flip(files, path_of(number), bit)
    assert met == {"damaged", "torn", "whole"}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_cut_is_called_what_a_start_calls_it(number: int) -> None:
    files = three_segments()
    content = files.contents(path_of(number))
    for cut in range(0, len(content), 5):
        files.replace(path_of(number), content[:cut])
        check_against_a_start(files)


def test_missing_released_copied_and_foreign_files_are_called_what_a_start_calls_them() -> None:
    random = Random(4)
    met = set()
    for _ in range(200):
        files = MemoryFileSystem()
        log, _ = open_log(files, SMALL)
        for number in range(5):
            log.append([record(f"{number}" * 100)])
            log.release(random.randint(1, log.active_segment))
        log.close()
        segments = [name for name in log_files(files) if name.endswith("segment")]
        victim = f"{FOLDER}/{random.choice(segments)}"
        match random.randrange(5):
            case 0:
                files.remove(victim)
            case 1:
                files.put(path_of(random.randint(1, 8)), files.contents(victim))
            case 2:
                files.put(f"{FOLDER}/{spare_name(random.randint(1, 8))}", bytes(256))
            case 3:
                files.replace(victim, bytes(256))
            case _:
                files.put(f"{FOLDER}/other", b"other")
        if any(name.endswith("segment") for name in log_files(files)):
            met.add(check_against_a_start(files))
    assert met == {"damaged", "whole"}


def test_what_lies_beyond_damage_is_read() -> None:
    files, positions = written(*[[record(letter * 900)] for letter in "abcd"])
    flip(files, path_of(1), 8 * (positions[0][0].offset + 40))
    files.remove(path_of(3))
    survey, records = survey_of(files)
    assert [each.payload[:1] for each in records] == [b"b", b"d"]
    assert [each.state for each in survey.segments] == [
        SegmentState.DAMAGED,
        SegmentState.WHOLE,
        SegmentState.MISSING,
        SegmentState.WHOLE,
    ]
    assert [(each.file, each.byte) for each in survey.findings if each.is_damage] == [
        (path_of(1), positions[0][0].offset),
        (path_of(3), 0),
    ]


def test_a_file_with_an_absurd_number_is_no_endless_list() -> None:
    files, _ = written([record("a")])
    files.put(path_of((1 << 64) - 1), b"rubbish")
    survey, _ = survey_of(files)
    assert len(survey.segments) == 3
    assert len(survey.findings) == 2


def test_no_log_has_no_segments() -> None:
    files = MemoryFileSystem()
    survey = LogSurveyor(files, FOLDER).survey(Visited())
    assert (survey.segments, survey.findings, survey.bytes_on_disk) == ([], [], 0)


def test_a_newer_format_is_refused() -> None:
    from tests.commitlog.test_recovery import as_newer_format

    files, _ = written([record("a")])
    as_newer_format(files)
    with pytest.raises(ConfigurationError, match="commit log format 2"):
        LogSurveyor(files, FOLDER).survey(Visited())


def test_a_record_that_was_damaged_meanwhile_is_not_read() -> None:
    files, positions = written([record("a")])
    surveyor = LogSurveyor(files, FOLDER)
    surveyor.survey(Visited())
    position: Position = positions[0][0]
    flip(files, path_of(1), 8 * position.offset)
    with pytest.raises(CorruptionError, match=f"damage at byte {position.offset}"):
        surveyor.read(position)
