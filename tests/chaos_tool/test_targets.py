"""Which faults a target allows, and that a cluster of others is not harmed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kvstore.chaos import compose_target
from kvstore.chaos.compose_target import ComposeTarget
from kvstore.chaos.local_target import LocalTarget
from kvstore.chaos.running_target import RunningTarget
from kvstore.chaos.schedule import FaultKind
from kvstore.chaos.target import Target, chosen_kinds
from kvstore.cli.chaos_targets import choose_target
from kvstore.errors import ConfigurationError, Unavailable
from tests.conftest import Command, one_sentence


def choose(
    *,
    endpoints: str | None = None,
    compose: Path | None = None,
    data_dir: Path | None = None,
    owned: bool = False,
) -> Target:
    return choose_target(
        seed=1,
        nodes=3,
        partitions=16,
        compose=compose,
        endpoints=endpoints,
        data_dir=data_dir,
        owned=owned,
    )


def test_a_cluster_of_others_is_only_loaded_by_default() -> None:
    assert chosen_kinds(choose(endpoints="127.0.0.1:1"), None) == ()


@pytest.mark.parametrize("kind", FaultKind)
def test_a_fault_in_a_cluster_of_others_is_refused_without_leave(kind: FaultKind) -> None:
    with pytest.raises(ConfigurationError, match="harmed only with --i-own-this-cluster"):
        chosen_kinds(choose(endpoints="127.0.0.1:1"), [kind])


def test_with_leave_only_processes_that_are_known_may_be_harmed() -> None:
    target = choose(endpoints="127.0.0.1:1", owned=True)
    assert chosen_kinds(target, None) == ()
    with pytest.raises(ConfigurationError, match="give --data-dir"):
        chosen_kinds(target, [FaultKind.KILL])
    with pytest.raises(ConfigurationError, match="not its network, its clocks and its data"):
        chosen_kinds(target, [FaultKind.WIPE])


def test_a_folder_of_another_cluster_is_no_leave(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no local cluster in"):
        RunningTarget("127.0.0.1:1", owned=True, data_dir=tmp_path)


@pytest.mark.parametrize("option", ["owned", "data_dir"])
def test_leave_is_for_a_cluster_that_is_named(option: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is for a running cluster"):
        choose(owned=option == "owned", data_dir=tmp_path if option == "data_dir" else None)


def test_one_cluster_is_named_and_not_two() -> None:
    with pytest.raises(ConfigurationError, match="give one"):
        choose(endpoints="127.0.0.1:1", compose=Path("docker-compose.yml"))


def test_a_cluster_of_its_own_allows_everything_to_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert chosen_kinds(LocalTarget(), None) == tuple(FaultKind)


def test_without_root_a_full_disk_is_refused_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    target = LocalTarget()
    assert set(FaultKind) - set(chosen_kinds(target, None)) == {FaultKind.DISK_FULL}
    with pytest.raises(ConfigurationError, match="disk-full cannot be made here: only root"):
        chosen_kinds(target, [FaultKind.DISK_FULL])


def test_faults_that_need_more_nodes_say_how_many() -> None:
    with pytest.raises(ConfigurationError, match="it needs 3 nodes, and there are 2"):
        chosen_kinds(LocalTarget(nodes=2), [FaultKind.BRIDGE])


def test_without_docker_containers_are_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "docker-compose.yml"
    file.touch()
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(ConfigurationError, match="no docker command here: install Docker, or"):
        ComposeTarget(file, 1)


def test_an_engine_that_does_not_answer_is_said_with_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def answers_nothing(*_arguments: object) -> str:
        raise Unavailable("docker info failed: Is the docker daemon running?")

    file = tmp_path / "docker-compose.yml"
    file.touch()
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(compose_target, "_run", answers_nothing)
    with pytest.raises(ConfigurationError, match="Is the docker daemon running"):
        ComposeTarget(file, 1)


def test_a_node_is_found_in_what_docker_says_of_its_container() -> None:
    found = {
        "Id": "4f",
        "Config": {
            "Env": ["KVSTORE_NODE_ID=n2", "KVSTORE_INITIAL_NODES=n1=10.0.0.1:7,n2=10.0.0.2:7"]
        },
        "NetworkSettings": {"Networks": {"project_cluster": {"IPAddress": "10.0.0.2"}}},
    }
    node = compose_target._container(found)
    assert node is not None
    name, container = node
    assert (name, container.address, container.ip) == ("n2", "10.0.0.2:7", "10.0.0.2")
    assert container.network == "project_cluster"
    assert compose_target._container(found | {"Config": {"Env": []}}) is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--faults", "flood"), "faults names 'flood'"),
        (("--workload", "sorting"), "workload names 'sorting'; it must be one of register, "),
        (("--workload", ","), "workload names none"),
        (("--duration", "0"), "duration"),
        (("--rate", "-1"), "rate is -1; the limit is 0 to"),
        (("--endpoints", "127.0.0.1:1", "--faults", "kill"), "--i-own-this-cluster"),
        (("--compose", "nowhere.yml"), "there is no such file"),
    ],
)
def test_a_wrong_command_line_is_said_in_a_sentence_before_anything_is_begun(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("chaos", *words)
    assert done.code == 2
    assert sentence in one_sentence(done)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_not_written_to(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    done = command("chaos", "--report", str(tmp_path))
    assert done.code == 2
    assert "is not empty: name another folder by --report" in one_sentence(done)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
