"""What the README shows is run: every block that is marked with <!-- run -->."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"<!-- run -->\n```(console|python)\n(.*?)```", re.DOTALL)
BLOCKS: list[tuple[str, str]] = _BLOCK.findall((ROOT / "README.md").read_text())
# The README names no folder and no ports, as a reader would type it: both are given here.
_UP = "kvstore local up"


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A user without a cluster, whose first one gets ports of its own."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("KVSTORE_")}
    variables["XDG_STATE_HOME"] = str(tmp_path)
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
    variables["KVSTORE_TIMEOUT"] = "20"
    yield variables
    if (tmp_path / "kvstore" / "local" / "cluster.json").exists():
        subprocess.run(["kvstore", "local", "down"], env=variables, check=True)


def run(line: str, environment: dict[str, str]) -> str:
    """What the shell prints for `line`, which must succeed."""
    finished = subprocess.run(
        line, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, f"{line}: {finished.stderr}"
    return finished.stdout


def examples(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and the output that is shown for it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _end, output = part.partition("\n")
        yield line, output


def test_the_commands_of_the_readme_do_what_it_shows(environment: dict[str, str]) -> None:
    blocks = [text for kind, text in BLOCKS if kind == "console"]
    assert len(blocks) == 2
    shown = 0
    for line, expected in (example for block in blocks for example in examples(block)):
        if line == _UP:
            environment["KVSTORE_ENDPOINTS"] = run(f"{_UP} --base-port 0", environment).strip()
            continue
        printed = run(line, environment)
        if expected:
            # On a terminal, as in the README, a value is followed by an end of line.
            assert printed.rstrip("\n") == expected.rstrip("\n"), line
            shown += 1
    assert shown >= 4


def test_the_program_of_the_readme_runs(environment: dict[str, str]) -> None:
    (program,) = [text for kind, text in BLOCKS if kind == "python"]
    subprocess.run([sys.executable, "-W", "error", "-c", program], env=environment, check=True)
