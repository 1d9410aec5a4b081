"""What is broken, for how long and in which order, as a seed says: drawn, never looked up.

The sequence depends on the seed, the kinds and the nodes alone; how far a run comes in it, and whom
a fault that looks for the leader finds, depends on the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from random import Random
from typing import Final

from kvstore.errors import ConfigurationError


@unique
class FaultKind(Enum):
    """What can be done to a cluster; the values are those of `--faults` and of events.jsonl."""

    KILL = "kill"
    """A node dies (SIGKILL) and is started again."""
    PAUSE = "pause"
    """A node freezes (SIGSTOP), for less or for more than an election timeout."""
    LEADER_KILL = "leader-kill"
    LEADER_PAUSE = "leader-pause"
    PARTITION = "partition"
    """A majority and a minority do not hear each other."""
    ONE_WAY = "one-way"
    """One node hears another and is not heard by it."""
    ISOLATE = "isolate"
    """One node hears nobody and is heard by nobody, clients included."""
    BRIDGE = "bridge"
    """Two halves do not hear each other; one node hears both."""
    SLOW = "slow"
    """What a node says and hears is late, and no more than a little of it comes through."""
    DROP = "drop"
    """Connections between nodes break, again and again."""
    DISK_FULL = "disk-full"
    """The disk of a node has no room."""
    RESTART_ALL = "restart-all"
    """All nodes die at once."""
    ROLLING_RESTART = "rolling-restart"
    """One node after the other is asked to end (SIGTERM), and started again."""
    WIPE = "wipe"
    """A node dies and loses its data; it takes its place anew."""
    CLOCK = "clock"
    """The clocks of one node, or of all, jump or run at another rate."""


@dataclass(frozen=True, slots=True)
class Round:
    """One fault, and what is left to the schedule of how it is made."""

    number: int
    kind: FaultKind
    nodes: tuple[str, ...]
    """In an order that was drawn: faults take as many as they need, from the first on."""
    hold_s: float
    """How long it stays."""
    calm_s: float
    """How long the cluster is left alone before it."""
    strength: float
    """0 to 1: of what there is more or less of."""


_HOLD_S: Final[dict[FaultKind, tuple[float, float]]] = {
    FaultKind.RESTART_ALL: (0.0, 1.0),
    FaultKind.ROLLING_RESTART: (0.0, 0.0),
    FaultKind.WIPE: (0.0, 2.0),
    FaultKind.DISK_FULL: (3.0, 6.0),
}
_HOLD_S_OTHERS: Final = (1.5, 5.0)
_PAUSES: Final = frozenset({FaultKind.PAUSE, FaultKind.LEADER_PAUSE})
_SHORT_PAUSE: Final = (0.1, 0.4)
_LONG_PAUSE: Final = (1.5, 4.0)
"""In longest election timeouts."""
_CALM_S: Final = (0.5, 2.0)


def schedule(
    seed: int, kinds: Sequence[FaultKind], nodes: Sequence[str], election_timeout_s: float
) -> Iterator[Round]:
    """Rounds without end. Each kind comes once before any comes again; the same arguments give the
    same rounds."""
    random = Random(f"chaos {seed}")
    number = 0
    while kinds:
        for kind in random.sample(list(kinds), len(kinds)):
            number += 1
            yield Round(
                number,
                kind,
                tuple(random.sample(list(nodes), len(nodes))),
                hold_s=_hold_s(random, kind, election_timeout_s),
                calm_s=random.uniform(*_CALM_S),
                strength=random.random(),
            )


def kinds_named(text: str) -> tuple[FaultKind, ...]:
    """The kinds in "kill,pause"; "none" for none. Raises ConfigurationError for one unknown."""
    if text == "none":
        return ()
    return tuple(dict.fromkeys(_named(name.strip()) for name in text.split(",") if name.strip()))


def _named(name: str) -> FaultKind:
    try:
        return FaultKind(name)
    except ValueError:
        known = ", ".join(str(kind.value) for kind in FaultKind)
        raise ConfigurationError(
            f"faults names {name!r}; it must be one of {known}, or none"
        ) from None


def _hold_s(random: Random, kind: FaultKind, election_timeout_s: float) -> float:
    if kind in _PAUSES:
        timeouts = _SHORT_PAUSE if random.random() < 0.3 else _LONG_PAUSE
        return random.uniform(*timeouts) * election_timeout_s
    return random.uniform(*_HOLD_S.get(kind, _HOLD_S_OTHERS))
