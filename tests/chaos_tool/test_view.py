"""What is seen of a run while it goes on."""

from __future__ import annotations

import asyncio
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from kvstore.chaos.run import Plan, Run, fresh_folder
from kvstore.chaos.schedule import FaultKind
from kvstore.cli import chaos_view
from kvstore.cli.chaos_view import watching
from tests.chaos_tool.fakes import FakeTarget


def a_run(folder: Path) -> Run:
    plan = Plan(
        command=("kvstore", "chaos"),
        version="1",
        seed=17,
        workloads=("register",),
        kinds=(FaultKind.KILL,),
        clients=1,
        rate=0.0,
        duration_s=60.0,
        prefix=b"",
        folder=folder,
    )
    return Run(plan, FakeTarget())


async def test_the_live_view_shows_nodes_fault_rate_errors_and_time(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    run.recorder.errors["Unavailable"] = 3
    page = StringIO()
    Console(file=page, width=100).print(chaos_view._picture(run, 123.0))
    run.recorder.close()
    shown = page.getvalue()
    for text in ("seed 17", "60 s left", "n1", "n3", "running", "fault: none", "123 operations/s"):
        assert text in shown
    assert "3 Unavailable" in shown


async def test_elsewhere_a_line_tells_what_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaos_view, "_DRAW_EVERY_S", 0.001)
    run = a_run(tmp_path)
    said = ""
    async with watching(run), asyncio.timeout(10):
        for phase in ("running", "healing"):
            run.phase = phase
            while f"kvstore: {phase}; 0 operations" not in said:
                await asyncio.sleep(0.001)
                said += capsys.readouterr().err
    run.recorder.close()
    assert said.count("kvstore: running;") == 1


def test_reports_of_one_seed_stand_beside_each_other(tmp_path: Path) -> None:
    names = [fresh_folder(tmp_path, 7).name for _ in range(3)]
    assert names == ["chaos-7", "chaos-7-2", "chaos-7-3"]
