"""The settings of a node: where they come from, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvstore.cli.serve import parser, settings_from
from kvstore.config import NodeSettings, load_settings, parse_address, parse_nodes
from kvstore.errors import ConfigurationError

THREE = "n1=10.0.0.1:7001,n2=10.0.0.2:7001,n3=10.0.0.3:7001"
VALID: dict[str, object] = {
    "node_id": "n1",
    "listen": "0.0.0.0:7001",
    "data_dir": "/var/lib/kvstore",
    "initial_nodes": THREE,
}


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NodeSettings.model_fields, "config"):
        monkeypatch.delenv(f"KVSTORE_{name.upper()}", raising=False)


def test_a_node_needs_a_name_an_address_a_folder_and_the_initial_nodes() -> None:
    settings = load_settings(VALID)
    assert settings.node_id == "n1"
    assert settings.data_dir == Path("/var/lib/kvstore")
    assert settings.initial_nodes == {
        "n1": "10.0.0.1:7001",
        "n2": "10.0.0.2:7001",
        "n3": "10.0.0.3:7001",
    }
    assert settings.partitions == 16
    assert settings.replicas == 3
    assert settings.limits.value_bytes_max == 1 << 20


def test_a_node_is_reached_by_its_address_in_initial_nodes_not_by_what_it_listens_on() -> None:
    assert load_settings(VALID).advertised_address == "10.0.0.1:7001"


def test_a_way_to_a_peer_stands_for_its_address_and_changes_nothing_else() -> None:
    assert load_settings(VALID).detours == {}
    settings = load_settings(VALID | {"peer_via": "n3=localhost:9003"})
    assert settings.detours == {"10.0.0.3:7001": "localhost:9003"}
    assert settings.initial_nodes["n3"] == "10.0.0.3:7001"


def test_timers_are_whole_ticks_rounded_up() -> None:
    times = {"heartbeat_ms": 120, "election_timeout_ms_min": 601, "election_timeout_ms_max": 1201}
    settings = load_settings(VALID | times)
    assert settings.heartbeat_ticks == 3
    assert (settings.election_ticks_min, settings.election_ticks_max) == (13, 25)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings(VALID).partitions = 3


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"node_id": "n4"}, "node-id n4 is not in initial-nodes (n1, n2, n3): add it there"),
        ({"node_id": "-n"}, "node-id '-n' is not a node's name"),
        ({"node_id": "n" * 64}, "1 to 63 letters"),
        ({"node_id": ""}, "node-id '' is not a node's name"),
        ({"listen": "7001"}, "listen '7001' is not HOST:PORT"),
        ({"listen": "host:0"}, "listen 'host:0' has port '0'; the limit is 1 to 65535"),
        ({"listen": "host:65536"}, "has port '65536'; the limit is 1 to 65535"),
        ({"listen": "host:http"}, "has port 'http'"),
        ({"listen": "::1:7001"}, "an IPv6 host stands in brackets"),
        ({"listen": "a b:7001"}, "has no valid host"),
        ({"initial_nodes": ""}, "initial-nodes names 0 nodes; the limit is 1 to 64"),
        ({"initial_nodes": "n1"}, "initial-nodes has 'n1', which is not ID=HOST:PORT"),
        ({"initial_nodes": "n1=h:1,n1=h:2"}, "initial-nodes names n1 twice"),
        ({"initial_nodes": "n1=h:1,n2=h:1"}, "initial-nodes gives h:1 to both n1 and n2"),
        ({"initial_nodes": "n1=h"}, "initial-nodes of n1 'h' is not HOST:PORT"),
        ({"initial_nodes": "n1=0.0.0.0:1"}, "is no address to connect to: 0.0.0.0 is for --listen"),
        ({"peer_via": "n2"}, "peer-via has 'n2', which is not ID=HOST:PORT"),
        ({"peer_via": "n2=h"}, "peer-via of n2 'h' is not HOST:PORT"),
        ({"peer_via": "n4=h:1"}, "peer-via names n4, not in initial-nodes (n1, n2, n3)"),
        ({"partitions": 0}, "partitions is 0; it must be at least 1"),
        ({"partitions": 1025}, "partitions is 1025; it must be at most 1024"),
        ({"partitions": "many"}, "partitions is 'many': input should be a valid integer"),
        ({"replicas": 8}, "replicas is 8; it must be at most 7"),
        ({"value_bytes_max": 17 << 20}, "value-bytes-max is 17825792; it must be at most 16777216"),
        (
            {"commit_log_bytes_max": 1 << 28},
            "commit-log-bytes-max is 268435456; with commit-log-segment-bytes 67108864 it must be"
            " at least 469762048, or 0 for no bound",
        ),
        ({"heartbeat_ms": 20}, "heartbeat-ms is 20; it must be at least tick-ms, 50"),
        (
            {"heartbeat_ms": 300},
            "election-timeout-ms begins at 600; it must be at least three times heartbeat-ms, 900",
        ),
        (
            {"election_timeout_ms_max": 650},
            "election-timeout-ms ends at 650; it must be at least 700",
        ),
        (
            {"value_bytes_max": 16 << 20, "commit_log_segment_bytes": 8 << 20},
            "commit-log-segment-bytes is 8388608; with value-bytes-max 16777216 it must be",
        ),
        ({"log_level": "loud"}, "log-level is 'loud'; it must be 'debug', 'info', 'warning' or"),
        ({"colour": "red"}, "colour is not a setting"),
    ],
)
def test_wrong_settings_are_named_with_value_and_limit(
    changed: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(VALID | changed)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_everything_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({})
    for name in ("node-id", "listen", "data-dir", "initial-nodes"):
        assert f"{name} is missing: give --{name}, KVSTORE_" in str(caught.value)


def test_flags_win_over_the_environment_and_the_environment_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "node.toml"
    file.write_text("partitions = 3\nheartbeat_ms = 50\nreplicas = 1\nlog_json = true\n")
    monkeypatch.setenv("KVSTORE_PARTITIONS", "5")
    monkeypatch.setenv("KVSTORE_HEARTBEAT_MS", "60")
    settings = load_settings(VALID | {"partitions": "7"}, file)
    assert settings.partitions == 7
    assert settings.heartbeat_ms == 60
    assert settings.replicas == 1
    assert settings.log_json is True
    assert settings.tick_ms == 50


def test_the_file_may_hold_the_initial_nodes_as_a_table_or_as_one_string(tmp_path: Path) -> None:
    table = tmp_path / "table.toml"
    table.write_text('[initial_nodes]\nn1 = "h1:1"\nn2 = "h2:1"\nn3 = "h3:1"\n')
    text = tmp_path / "text.toml"
    text.write_text('initial_nodes = "n1=h1:1,n2=h2:1,n3=h3:1"\n')
    given = {name: value for name, value in VALID.items() if name != "initial_nodes"}
    assert load_settings(given, table).initial_nodes == load_settings(given, text).initial_nodes
    assert load_settings(VALID, table).initial_nodes["n1"] == "10.0.0.1:7001"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "No such file"),
        ("partitions = ", "is not TOML"),
        ("partions = 3", "partions is not a setting"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, text: str | None, sentence: str
) -> None:
    file = tmp_path / "node.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=sentence):
        load_settings(VALID, file)


def test_variables_of_the_command_line_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVSTORE_ENDPOINTS", "127.0.0.1:1")
    assert load_settings(VALID).node_id == "n1"


def test_every_setting_has_a_flag() -> None:
    flags = parser().format_help()
    for name in NodeSettings.model_fields:
        if not name.startswith("election_timeout_ms") and name != "clock_file":
            assert f"--{name.replace('_', '-')}" in flags
    assert "--election-timeout-ms MIN-MAX" in flags


def test_what_only_the_chaos_tool_sets_is_not_shown(tmp_path: Path) -> None:
    assert "clock" not in parser().format_help()
    assert load_settings(VALID).clock_file is None
    assert settings_from(flags(f"--clock-file={tmp_path}")).clock_file == tmp_path


def flags(*more: str) -> list[str]:
    """The command line that gives VALID, and `more`."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in VALID.items()] + list(more)


def test_the_command_line_gives_all_settings(tmp_path: Path) -> None:
    settings = settings_from(
        flags("--election-timeout-ms", "900-1800", "--log-json", "--partitions", "4")
    )
    assert (settings.election_timeout_ms_min, settings.election_timeout_ms_max) == (900, 1800)
    assert settings.log_json is True
    assert settings.partitions == 4


def test_the_file_is_named_by_a_flag_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "node.toml"
    file.write_text("partitions = 3\n")
    assert settings_from(flags("--config", str(file))).partitions == 3
    monkeypatch.setenv("KVSTORE_CONFIG", str(file))
    assert settings_from(flags()).partitions == 3


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--election-timeout-ms", "600"], "election-timeout-ms is '600'; it must be MIN-MAX"),
        (["--election-timeout-ms", "a-b"], "election-timeout-ms-min is 'a'"),
        (["--partition", "4"], "unrecognized arguments: --partition 4"),
        (["--listen"], "expected one argument"),
        (["--log-json=maybe"], "log-json is 'maybe'"),
    ],
)
def test_a_wrong_command_line_is_a_configuration_error(more: list[str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        settings_from(flags(*more))


def test_addresses_are_taken_apart() -> None:
    assert parse_address("host.example:7001") == ("host.example", 7001)
    assert parse_address("[::1]:7001") == ("::1", 7001)


def test_nodes_keep_their_order_and_may_be_spaced() -> None:
    assert list(parse_nodes("b=h:1, a=h:2,")) == ["b", "a"]
