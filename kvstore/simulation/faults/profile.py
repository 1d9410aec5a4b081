"""Profiles: which faults a run may have, under a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kvstore.errors import ConfigurationError

_NETWORK: Final = (
    *("isolate", "split", "one way", "slow link", "lossy link", "reset"),
    *("client cut off", "client vanishes", "deposed leader"),
)
_DISK: Final = (
    *("slow disk", "stuck disk", "failing disk", "full disk", "bit rot", "silent damage", "crash"),
)
_CRASHES: Final = ("crash", "kill", "crash all", "kill leader", "stop", "wipe")
_PAUSES: Final = ("short pause", "long pause", "pause leader", "sleeping leader")
_CLOCKS: Final = ("clock jump", "wall clock jump")


@dataclass(frozen=True, slots=True)
class Profile:
    """See the module."""

    name: str
    kinds: tuple[str, ...]
    noisy_network: bool = False
    """Messages are lost, repeated and overtaken all the time."""
    drifting_clocks: bool = False
    """The clocks of the nodes run at different rates."""


PROFILES: Final = {
    profile.name: profile
    for profile in (
        Profile("calm", ()),
        Profile("network", _NETWORK, noisy_network=True),
        Profile("disk", _DISK),
        Profile("crashes", _CRASHES),
        Profile("pauses", _PAUSES),
        Profile("clocks", (*_CLOCKS, "isolate", "sleeping leader"), drifting_clocks=True),
        Profile(
            "everything",
            tuple(dict.fromkeys((*_NETWORK, *_DISK, *_CRASHES, *_PAUSES, *_CLOCKS))),
            noisy_network=True,
            drifting_clocks=True,
        ),
    )
}
"""By name."""


def profile_named(name: str) -> Profile:
    """The profile of that name; raises ConfigurationError where there is none."""
    profile = PROFILES.get(name)
    if profile is None:
        raise ConfigurationError(f"profile is {name!r}; it must be one of {', '.join(PROFILES)}")
    return profile
