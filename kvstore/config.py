"""The settings of one node: from flags, the environment, a TOML file and defaults, in that order.

Every setting has one name: `heartbeat_ms` in Python and in TOML, `KVSTORE_HEARTBEAT_MS` in the
environment, `--heartbeat-ms` as a flag. All that is wrong with them is said before anything starts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from kvstore.codec.limits import VALUE_BYTES_MAX_CEILING, VALUE_BYTES_MAX_DEFAULT, Limits
from kvstore.errors import ConfigurationError

ENVIRONMENT_PREFIX: Final = "KVSTORE_"
INITIAL_NODES_MAX: Final = 64
_NODE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ANY_HOST: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, never bound
_MIB: Final = 1 << 20
LOG_BATCH_BYTES_MAX: Final = 256 * _MIB
"""Of one write to the commit log; far more than a round has."""


class NodeSettings(BaseSettings):
    """What a node is told at start. Immutable; sizes in bytes, times in milliseconds."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, env_ignore_empty=True
    )

    node_id: str = Field(description="Name of this node: letters, digits, '.', '_' and '-'.")
    listen: str = Field(description="HOST:PORT to listen on; 0.0.0.0 for all interfaces.")
    data_dir: Path = Field(description="Folder for all that the node keeps; made where missing.")
    initial_nodes: Annotated[dict[str, str], NoDecode] = Field(
        description="ID=HOST:PORT,… of the cluster's first nodes, this one among them, by the "
        "addresses at which nodes and clients reach them. The same on every node."
    )
    peer_via: Annotated[dict[str, str], NoDecode] = Field(
        {},
        description="ID=HOST:PORT,… of other nodes that this one does not connect to directly: "
        "where to connect instead, such as to a proxy of its own. Clients are not told of it.",
    )
    rejoin: bool = Field(
        False,
        description="With an empty folder: take the place of this node anew, in a cluster that "
        "knows it; its data are lost. Without effect on a folder that has data.",
    )

    rebuilds_max: int = Field(
        3,
        ge=0,
        le=1 << 20,
        description="How often in a row the node gives up damaged data and gets them anew from the"
        " others; then it stays out, since its disk is not to be trusted. Counted anew after six"
        " hours at work without damage.",
    )

    partitions: int = Field(
        16, ge=1, le=1024, description="Parts of the key space. Fixed at the cluster's first start."
    )
    replicas: int = Field(
        3,
        ge=1,
        le=7,
        description="Copies of each partition, each on a node of its own; fewer where there are "
        "fewer nodes. Fixed at the cluster's first start.",
    )
    value_bytes_max: int = Field(
        VALUE_BYTES_MAX_DEFAULT,
        ge=1,
        le=VALUE_BYTES_MAX_CEILING,
        description="Largest value, in bytes. Fixed at the cluster's first start.",
    )

    tick_ms: int = Field(50, ge=5, le=1000, description="Resolution of all timers.")
    heartbeat_ms: int = Field(
        100, ge=5, le=60_000, description="How often a leader says that it is there."
    )
    election_timeout_ms_min: int = Field(
        600, ge=20, le=600_000, description="Least silence of a leader before an election."
    )
    election_timeout_ms_max: int = Field(
        1200, ge=20, le=600_000, description="Most silence of a leader before an election."
    )

    commit_log_segment_bytes: int = Field(
        64 * _MIB, ge=4 * _MIB, le=1024 * _MIB, description="Size of a file of the commit log."
    )
    commit_log_bytes_max: int = Field(
        0,
        ge=0,
        le=1 << 50,
        description="Most that the commit log takes on the disk; beyond, the node takes no writes."
        " 0: as much as there is.",
    )
    disk_reserve_bytes: int = Field(
        128 * _MIB,
        ge=0,
        le=1 << 50,
        description="Free space on the disk of the data directory below which the node takes no"
        " writes: the rest is for what has to be written all the same.",
    )
    commit_log_kept_segments: int = Field(
        1,
        ge=1,
        le=1 << 20,
        description="Full files of the commit log kept for nodes that are a little behind.",
    )
    commit_log_lagging_segments: int = Field(
        8,
        ge=1,
        le=1 << 20,
        description="Full files of the commit log kept, if need be, for a node that is far behind."
        " One that needs older ones gets a snapshot instead.",
    )
    snapshot_chunk_bytes: int = Field(
        256 << 10,
        ge=16 << 10,
        le=1 * _MIB,
        description="Piece in which a partition's state is sent to a node that needs it.",
    )
    scrub_bytes_per_s: int = Field(
        1 * _MIB,
        ge=0,
        le=1024 * _MIB,
        description="How fast a node reads its partitions to compare them with those of the others;"
        " twice as fast with every half hour that one takes. 0: only when asked to.",
    )
    scrub_interval_s: int = Field(
        21_600, ge=1, le=1 << 31, description="From one comparison of a partition to its next."
    )
    pending_bytes_max: int = Field(
        64 * _MIB,
        ge=16 * _MIB,
        le=4096 * _MIB,
        description="Writes taken in and not yet answered; the node refuses more for a while.",
    )
    pending_requests_max: int = Field(
        4096, ge=16, le=1_000_000, description="Calls under way at once; as above."
    )
    inflight_bytes_max: int = Field(
        8 * _MIB,
        ge=1 * _MIB,
        le=1024 * _MIB,
        description="Entries on their way to one follower of one partition.",
    )
    inflight_messages_max: int = Field(
        128, ge=1, le=100_000, description="Messages on their way to one follower; as above."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged, on standard error."
    )
    log_json: bool = Field(False, description="Log one JSON object a line.")
    clock_file: Path | None = Field(
        None,
        description="File that moves this node's clocks; for nodes that `kvstore chaos` starts.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment; no .env file is ever read behind the user's back."""
        return init_settings, env_settings

    @field_validator("initial_nodes", "peer_via", mode="before")
    @classmethod
    def _split_nodes(cls, value: object) -> object:
        return parse_nodes(value) if isinstance(value, str) else value

    @field_validator("node_id")
    @classmethod
    def _check_node_id(cls, value: str) -> str:
        return _checked_node_id(value)

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        parse_address(value)
        return value

    @field_validator("initial_nodes")
    @classmethod
    def _check_nodes(cls, nodes: dict[str, str]) -> dict[str, str]:
        if not 1 <= len(nodes) <= INITIAL_NODES_MAX:
            raise ValueError(f"names {len(nodes)} nodes; the limit is 1 to {INITIAL_NODES_MAX}")
        holders: dict[str, str] = {}
        for node, address in nodes.items():
            _checked_node_id(node)
            try:
                host, _port = parse_address(address)
            except ValueError as problem:
                raise ValueError(f"of {node} {problem}") from problem
            if host in _ANY_HOST:
                raise ValueError(
                    f"of {node} {address!r} is no address to connect to: {host} is for --listen"
                )
            if holders.setdefault(address, node) != node:
                raise ValueError(f"gives {address} to both {holders[address]} and {node}")
        return nodes

    @field_validator("peer_via")
    @classmethod
    def _check_ways(cls, ways: dict[str, str]) -> dict[str, str]:
        for node, address in ways.items():
            try:
                parse_address(address)
            except ValueError as problem:
                raise ValueError(f"of {node} {problem}") from problem
        return ways

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        names = ", ".join(self.initial_nodes)
        if self.node_id not in self.initial_nodes:
            raise ValueError(
                f"node-id {self.node_id} is not in initial-nodes ({names}): add it there, or give "
                "this node one of those names"
            )
        strangers = [node for node in self.peer_via if node not in self.initial_nodes]
        if strangers:
            raise ValueError(
                f"peer-via names {', '.join(strangers)}, not in initial-nodes ({names}): a way is "
                "to one of those"
            )
        self._check_timers()
        self._check_sizes()
        return self

    def _check_timers(self) -> None:
        if self.heartbeat_ms < self.tick_ms:
            raise ValueError(
                f"heartbeat-ms is {self.heartbeat_ms}; it must be at least tick-ms, {self.tick_ms}"
            )
        if self.election_timeout_ms_min < 3 * self.heartbeat_ms:
            raise ValueError(
                f"election-timeout-ms begins at {self.election_timeout_ms_min}; it must be at "
                f"least three times heartbeat-ms, {3 * self.heartbeat_ms}, or one late heartbeat "
                "costs a leader"
            )
        if self.election_timeout_ms_max < self.election_timeout_ms_min + 2 * self.tick_ms:
            raise ValueError(
                f"election-timeout-ms ends at {self.election_timeout_ms_max}; it must be at least "
                f"{self.election_timeout_ms_min + 2 * self.tick_ms} (its begin and two ticks), or "
                "elections tie"
            )

    def _check_sizes(self) -> None:
        batch = self.limits.batch_bytes_max
        for name, value, least in (
            ("commit-log-segment-bytes", self.commit_log_segment_bytes, 2 * batch),
            ("pending-bytes-max", self.pending_bytes_max, 2 * batch),
        ):
            if value < least:
                raise ValueError(
                    f"{name} is {value}; with value-bytes-max {self.value_bytes_max} it must be at "
                    f"least {least}"
                )
        least = 3 * self.commit_log_segment_bytes + LOG_BATCH_BYTES_MAX
        if 0 < self.commit_log_bytes_max < least:
            raise ValueError(
                f"commit-log-bytes-max is {self.commit_log_bytes_max}; with"
                f" commit-log-segment-bytes {self.commit_log_segment_bytes} it must be at least"
                f" {least}, or 0 for no bound"
            )

    @property
    def advertised_address(self) -> str:
        """Where other nodes and clients reach this node: its address in `initial_nodes`."""
        return self.initial_nodes[self.node_id]

    @property
    def detours(self) -> dict[str, str]:
        """Where to connect instead, by the address of the node that is meant."""
        return {self.initial_nodes[node]: address for node, address in self.peer_via.items()}

    @property
    def limits(self) -> Limits:
        """The limits of keys, values and batches that follow from the settings."""
        return Limits(value_bytes_max=self.value_bytes_max)

    @property
    def heartbeat_ticks(self) -> int:
        """`heartbeat_ms` in whole ticks, rounded up."""
        return -(-self.heartbeat_ms // self.tick_ms)

    @property
    def election_ticks_min(self) -> int:
        """`election_timeout_ms_min` in whole ticks, rounded up."""
        return -(-self.election_timeout_ms_min // self.tick_ms)

    @property
    def election_ticks_max(self) -> int:
        """`election_timeout_ms_max` in whole ticks, rounded up."""
        return -(-self.election_timeout_ms_max // self.tick_ms)


def load_settings(flags: Mapping[str, object], toml_file: Path | None = None) -> NodeSettings:
    """The settings from `flags`, then the environment, then `toml_file`, then defaults.

    Raises ConfigurationError, whose message is one sentence that names field, value and limit.
    """
    file_values = {} if toml_file is None else _read_toml(toml_file)

    # The library takes a file from the class, not from the call: hence a class for this call.
    class FileSettings(NodeSettings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *sources: Any, **named: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            above = NodeSettings.settings_customise_sources(settings_cls, *sources, **named)
            return (*above, InitSettingsSource(settings_cls, init_kwargs=file_values))

    given: dict[str, Any] = dict(flags)
    try:
        return FileSettings(**given)
    except ValidationError as problem:
        raise ConfigurationError(_sentence(problem)) from problem


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[ipv6]:port"; raises ValueError that says what is wrong."""
    host, separator, port = address.rpartition(":")
    if not separator or not host or (":" in host and not host.startswith("[")):
        raise ValueError(f"{address!r} is not HOST:PORT (an IPv6 host stands in brackets)")
    if any(character.isspace() or character in "/,=@" for character in host):
        raise ValueError(f"{address!r} has no valid host")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65535:
        raise ValueError(f"{address!r} has port {port!r}; the limit is 1 to 65535")
    return host.strip("[]"), int(port)


def parse_nodes(text: str) -> dict[str, str]:
    """The nodes in "n1=host:port,n2=host:port", in order; raises ValueError."""
    nodes: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        node, separator, address = part.partition("=")
        if not separator:
            raise ValueError(f"has {part!r}, which is not ID=HOST:PORT")
        if node in nodes:
            raise ValueError(f"names {node} twice")
        nodes[node] = address
    return nodes


def _checked_node_id(value: str) -> str:
    if not _NODE_ID.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a node's name: 1 to 63 letters, digits, '.', '_' and '-', the "
            "first a letter or digit"
        )
    return value


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as problem:
        raise ConfigurationError(f"config file {path}: {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise ConfigurationError(f"config file {path} is not TOML: {problem}") from problem


def _sentence(problem: ValidationError) -> str:
    """What pydantic found, in this project's words; several findings are joined."""
    return "; ".join(_clause(error) for error in problem.errors(include_url=False))


def _clause(error: Mapping[str, Any]) -> str:
    location = [str(part) for part in error["loc"]]
    name = ".".join(location).replace("_", "-")
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    match kind:
        case "missing":
            variable = ENVIRONMENT_PREFIX + location[0].upper()
            said = f" is missing: give --{name}, {variable} or {location[0]} in the file"
        case "extra_forbidden":
            said = " is not a setting"
        case "value_error":
            said = f" {context['error']}" if name else str(context["error"])
        case "greater_than_equal":
            said = f" is {value}; it must be at least {context['ge']}"
        case "less_than_equal":
            said = f" is {value}; it must be at most {context['le']}"
        case "literal_error":
            said = f" is {value!r}; it must be {context['expected']}"
        case _:
            said = f" is {value!r}: {error['msg'][0].lower()}{error['msg'][1:]}"
    return name + said
