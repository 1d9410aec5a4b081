"""Files of records: what is written is read, and a wrong line is named."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvstore.cli.rows import SUFFIXES, RowReader, RowWriter
from kvstore.errors import ConfigurationError

Rows = list[tuple[bytes, bytes]]


def written(path: Path, rows: Rows) -> Path:
    with RowWriter(path) as writer:
        for key, value in rows:
            writer.write(key, value)
    return path


def read(path: Path) -> Rows:
    with RowReader(path) as reader:
        return [(row.key, row.value) for row in reader]


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(rows=st.lists(st.tuples(st.binary(), st.binary())))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, suffix: str, rows: Rows) -> None:
    assert read(written(tmp_path / f"rows{suffix}", rows)) == rows


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_rows_give_the_same_file(tmp_path: Path, suffix: str) -> None:
    rows = [(b"key", b"value")]
    one, two = (written(tmp_path / f"{name}{suffix}", rows) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_writer_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", [(b"old", b"1")])

    def fail_half_way() -> None:
        with RowWriter(path) as writer:
            writer.write(b"new", b"2")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert read(path) == [(b"old", b"1")]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    with RowWriter(path) as writer:
        writer.write(b"key", b"value")
        assert not path.exists()
    assert read(path) == [(b"key", b"value")]


def test_empty_lines_are_passed_over_and_the_last_needs_no_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('\n{"key": "a", "value": "1"}\n  \n{"value": "2", "key": {"base64": "/w=="}}')
    assert read(path) == [(b"a", b"1"), (b"\xff", b"2")]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", 'not an object with "key" and "value"'),
        ('{"key": "a"}', 'not an object with "key" and "value"'),
        ('{"key": "a", "value": "b", "ttl": 1}', 'not an object with "key" and "value"'),
        ('{"key": 1, "value": "b"}', "key is neither a string nor"),
        ('{"key": "a", "value": {"base64": "?"}}', "value is not valid base64"),
    ],
)
def test_a_wrong_line_is_named_with_its_file_and_number(
    tmp_path: Path, line: str, what: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"key": "a", "value": "1"}\n\n' + line + "\n")
    with pytest.raises(ConfigurationError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}, line 3: {what}")


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_a_damaged_archive_is_named(tmp_path: Path, suffix: str, pack: object) -> None:
    assert callable(pack)
    whole = pack(b'{"key": "a", "value": "1"}\n' * 5000)
    for name, data in (("cut", whole[:-12]), ("flipped", whole[:40] + b"\x55" * 8 + whole[48:])):
        path = tmp_path / f"{name}.jsonl{suffix}"
        path.write_bytes(data)
        with pytest.raises(ConfigurationError, match="the compressed data is damaged"):
            read(path)


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ends in none of \.jsonl, \.jsonl\.gz"):
        RowReader(tmp_path / "rows.csv")


def test_every_record_of_the_example_is_there() -> None:
    rows = read(Path(__file__).parents[2] / "examples" / "debian-packages.jsonl.xz")
    assert len(rows) == 6000
    assert len({key for key, _value in rows}) == 6000
    assert all(key.startswith(b"debian/bookworm/") for key, _value in rows)
