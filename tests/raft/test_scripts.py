"""Every cluster script prints what it says: tests/raft/scripts, and script_runner.py for how."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.raft.script_file import read_script
from tests.raft.script_runner import REWRITE, run_script

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path) -> None:
    run_script(path)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_each_script_opens_with_its_source(path: Path) -> None:
    opening = read_script(path).opening
    assert opening.startswith(("Dissertation ", "Raft paper, ")), opening


# The runner itself


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("# x\n> fly 1\n", "a.txt:2: > fly 1\nthere is no command 'fly'"),
        ("> add 1\n", "add: no group was given"),
        ("> group 1..3\n> add 1\n> add 1\n", "a.txt:3: > add 1\nadd: replica 1 is there"),
        ("> group 1\n> tick 1\n", "there is no replica 1"),
        ("> group 1\n> add 1 logs=3\n", "add: not understood: logs=3"),
        ("> group one\n", "group: 'one' is not a number"),
        ("> crash\n", "crash: a replica is missing"),
        ("> config election=3\n", "unexpected keyword argument 'election'"),
        ("> group 1..2\n> add 1..2\n> crash 1\n> tick 1\n", "replica 1 is down"),
        ("> group 1..2\n> add 1..2\n> restart 1\n", "replica 1 is running"),
        ("> group 1..2\n> add 1..2\n> deliver\n", "deliver: no such message is under way"),
        ("> group 1..2\n> add 1..2\n> drop votes\n", "drop: 'votes' is no kind of message"),
        ("> group 1..2\n> add 1..2\n> persist 1\n", "replica 1 has no such bundle under way"),
        ("> group 1..2\n> add 1..2\n> apply 1\n", "replica 1 has nothing to apply"),
    ],
)
def test_a_command_that_makes_no_sense_is_an_error(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        run_script(written(tmp_path, text))
    assert complaint in str(caught.value)


def test_another_output_is_an_error_that_names_file_line_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(REWRITE, raising=False)
    text = "> group 1\n> add 1\n\n# Why.\n> tick 1\n  1: term 0 => 7\n"
    with pytest.raises(AssertionError) as caught:
        run_script(written(tmp_path, text))
    assert "a.txt:5: > tick 1\n" in str(caught.value)
    assert "\n-1: term 0 => 7\n+1: role FOLLOWER => LEADER, term 0 => 1" in str(caught.value)


def test_rewriting_replaces_the_outputs_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "# Why.\n> group 1\n  old\n\n> add 1\n> ready 1\n  old\n  older\n")
    monkeypatch.setenv(REWRITE, "1")
    run_script(path)
    text = path.read_text(encoding="utf-8")
    assert text == "# Why.\n> group 1\n\n> add 1\n> ready 1\n  1 has nothing to do\n"
    monkeypatch.delenv(REWRITE)
    run_script(path)


def test_rewriting_does_not_bless_a_broken_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two groups that share a number: each has a leader of term 1."""
    monkeypatch.setenv(REWRITE, "1")
    text = "> group 1\n> add 1\n> group 2\n> add 2\n> tick 1..2\n> ready 1\n> ready 2\n"
    path = written(tmp_path, text)
    with pytest.raises(AssertionError, match="1 and 2 both lead term 1"):
        run_script(path)
    assert path.read_text(encoding="utf-8") == text
