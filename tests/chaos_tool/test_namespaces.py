"""The mesh of network namespaces, without root: what is in force, and that nothing is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kvstore.chaos.namespaces import commands
from kvstore.chaos.namespaces import mesh as mesh_module
from kvstore.chaos.namespaces.mesh import NamespaceMesh
from kvstore.chaos.namespaces.plan import Command
from kvstore.chaos.network_kind import NetworkKind
from kvstore.chaos.schedule import FaultKind
from kvstore.cli.chaos_run import Asked
from kvstore.cli.chaos_targets import choose_target
from kvstore.errors import ConfigurationError, Unavailable
from tests.conftest import Command as Typed
from tests.conftest import one_sentence


class Machine:
    """`ip` and `iptables` that note what is run; `fails_at` fails."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.namespaces: list[str] = []
        self.links: list[str] = ["lo"]
        self.killed: list[str] = []
        self.alive: set[int] = set()
        self.fails_at = "no such command"

    def run(self, command: Command) -> str:
        line = " ".join(command)
        if self.fails_at in line:
            raise Unavailable(f"`{line}` failed: no")
        self.lines.append(line)
        match command[1:]:
            case ("netns", "add", name):
                self.namespaces.append(name)
            case ("netns", "delete", name):
                self.namespaces.remove(name)
            case ("link", "add", name, "type", *_):
                self.links.append(name)
            case ("link", "delete", name):
                self.links.remove(name)
        return ""

    def in_force(self) -> list[str]:
        rules: list[str] = []
        for line in self.lines:
            if " -A " in line:
                rules.append(line)
            elif " -D " in line:
                rules.remove(line.replace(" -D ", " -A "))
        return rules


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(commands, "missing", lambda: None)
    monkeypatch.setattr(commands, "run", machine.run)
    monkeypatch.setattr(commands, "routes", list)
    monkeypatch.setattr(commands, "namespaces", lambda: list(machine.namespaces))
    monkeypatch.setattr(commands, "links", lambda: list(machine.links))
    monkeypatch.setattr(commands, "kill_all_in", machine.killed.append)
    monkeypatch.setattr(commands, "runs", machine.alive.__contains__)
    return machine


def make_mesh(tell: Callable[[str], None] = lambda _sentence: None) -> NamespaceMesh:
    return NamespaceMesh(("n1", "n2", "n3"), tell)


async def test_what_was_cut_is_cleared_in_part_and_as_a_whole(machine: Machine) -> None:
    mesh = make_mesh()
    await mesh.open()
    assert not machine.in_force(), "rules are tried, and not left"
    await mesh.cut([("n1", "n2"), ("n3", "n2")])
    await mesh.cut([("n1", "n2")])
    assert len(machine.in_force()) == 1
    await mesh.clear()
    assert not machine.in_force()
    await mesh.cut([("n1", "n2")])
    await mesh.cut([("n2", "n1")])
    await mesh.clear([("n2", "n1"), ("n2", "n3")])
    assert [line.split()[3][-2:] for line in machine.in_force()] == ["n2"]


async def test_a_rule_that_could_not_be_made_is_not_taken_back(machine: Machine) -> None:
    mesh = make_mesh()
    await mesh.open()
    machine.fails_at = "n3 iptables"
    with pytest.raises(Unavailable, match=r"n3 iptables .* failed"):
        await mesh.cut([("n1", "n2"), ("n1", "n3")])
    await mesh.clear()
    assert not machine.in_force()


async def test_a_reset_ends_by_itself_and_when_it_is_broken_off(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = make_mesh()
    await mesh.open()
    monkeypatch.setattr(mesh_module, "_RESET_S", 0.01)
    await mesh.reset("n1", "n2")
    assert "tcp-reset" in machine.lines[-1]
    assert not machine.in_force()
    monkeypatch.setattr(mesh_module, "_RESET_S", 3600)
    reset = asyncio.create_task(mesh.reset("n1", "n2"))
    async with asyncio.timeout(20):
        while not machine.in_force():
            await asyncio.sleep(0.005)
    reset.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reset
    assert not machine.in_force()


async def test_nothing_is_left_and_what_was_killed_is_swept_up(machine: Machine) -> None:
    machine.namespaces = ["other", "kvchaos-7-hub", "kvchaos-7-n1", "kvchaos-8-n1"]
    machine.links = ["lo", "kvchaos-7", "kvchaos-8"]
    machine.alive.add(8)
    told: list[str] = []
    mesh = make_mesh(told.append)
    await mesh.open()
    assert len(told) == 1
    assert "a run that was killed (pid 7)" in told[0]
    assert machine.killed == ["kvchaos-7-hub", "kvchaos-7-n1"]
    assert f"kvchaos-{os.getpid()}-n3" in machine.namespaces
    await mesh.close()
    assert machine.namespaces == ["other", "kvchaos-8-n1"]
    assert machine.links == ["lo", "kvchaos-8"]


async def test_a_network_that_was_made_in_part_is_taken_away(machine: Machine) -> None:
    mesh = make_mesh()
    machine.fails_at = "-n2 link set lo up"
    with pytest.raises(Unavailable, match="link set lo up` failed: no"):
        await mesh.open()
    mesh.end_now()
    assert (machine.namespaces, machine.links) == ([], ["lo"])


async def test_after_the_end_nothing_is_made_any_more(machine: Machine) -> None:
    mesh = make_mesh()
    mesh.end_now()
    with pytest.raises(Unavailable, match="taken away"):
        await mesh.open()
    assert not machine.namespaces


def test_what_takes_delay_is_refused(machine: Machine) -> None:
    refused = [kind for kind in FaultKind if make_mesh().refusal(kind) is not None]
    assert refused == [FaultKind.SLOW]


@pytest.mark.parametrize(
    ("euid", "lacks", "sentence"),
    [
        (1000, "", "only root may make them"),
        (0, "ip", "there is no ip command: install it"),
        (0, "iptables", "there is no iptables command: install it"),
    ],
)
def test_where_there_can_be_no_namespaces_a_sentence_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, euid: int, lacks: str, sentence: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == lacks else f"/sbin/{name}")
    with pytest.raises(ConfigurationError, match=f"network is namespaces, and {sentence}"):
        make_mesh()


@pytest.mark.parametrize("named", ["endpoints", "compose"])
def test_the_network_of_a_cluster_that_is_named_is_not_made(named: str) -> None:
    with pytest.raises(ConfigurationError, match="--network namespaces is for a cluster of proc"):
        choose_target(
            seed=1,
            nodes=3,
            partitions=16,
            compose=Path("docker-compose.yml") if named == "compose" else None,
            endpoints="127.0.0.1:1" if named == "endpoints" else None,
            data_dir=None,
            owned=False,
            network=NetworkKind.NAMESPACES,
        )


def test_a_command_that_fails_is_named_with_its_last_line() -> None:
    with pytest.raises(Unavailable, match="`sh -c echo one >&2; echo two >&2; exit 3` failed: two"):
        commands.run(("sh", "-c", "echo one >&2; echo two >&2; exit 3"))
    with pytest.raises(Unavailable, match="`no-such-command-here x` failed: "):
        commands.run(("no-such-command-here", "x"))


def test_a_run_that_ended_and_was_not_waited_for_is_gone() -> None:
    assert commands.runs(os.getpid())
    with subprocess.Popen(["sleep", "3600"]) as process:
        assert commands.runs(process.pid)
        process.kill()
        # Without reaping it.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{process.pid}").exists()
        assert not commands.runs(process.pid)
    assert not commands.runs(process.pid)


@pytest.mark.parametrize(
    ("network", "words"),
    [(NetworkKind.PROXY, []), (NetworkKind.NAMESPACES, ["--network", "namespaces"])],
)
def test_the_command_that_repeats_a_run_names_its_network(
    network: NetworkKind, words: list[str]
) -> None:
    asked = Asked(
        seed=1,
        duration_s=60.0,
        faults=None,
        workload="register",
        clients=8,
        rate=400.0,
        nodes=3,
        partitions=16,
        network=network,
        report=None,
        compose=None,
        endpoints=None,
        data_dir=None,
        owned=False,
    )
    assert asked.command([])[-2 - len(words) :] == ["--partitions", "16", *words]


def test_without_root_the_command_says_what_is_missing_before_anything_is_begun(
    command: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = command("chaos", "--network", "namespaces")
    assert done.code == 2
    assert "network is namespaces, and only root may make them" in one_sentence(done)
    assert not list(tmp_path.iterdir())
