"""Which commands make a network of namespaces, break it and take it away: decided, not run.

```
tool's own namespace          kvchaos-PID-hub         kvchaos-PID-n1, -n2, ...
kvchaos-PID, .254  --veth--   bridge "hub"  --veth--  eth0, .1, .2, ...
```

The bridge has a namespace of its own: rules that a machine has for what it forwards (those of
Docker, say) would meet what goes over a bridge beside them. Of the machine's own namespace only
one link and its route are needed, and everything is known by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Final

from kvstore.chaos.mesh import CLIENTS, Pair
from kvstore.errors import ConfigurationError

Command = tuple[str, ...]

_PREFIX: Final = "kvchaos-"
"""With a pid of seven digits a link's name has the 15 characters that it may have."""
_HUB: Final = "hub"
_SUBNET_BITS: Final = 24
_ROUTE_BITS_MIN: Final = 8
"""A wider route is a default by another name (VPNs have 0.0.0.0/1), and collides with nothing."""
_BLOCKS: Final = tuple(map(IPv4Network, ("10.215.0.0/16", "172.31.0.0/16", "192.168.0.0/16")))
_HOST_OF_CLIENTS: Final = 254
_LOCK_WAIT_S: Final = 5
_DROP: Final = ("-j", "DROP")
_RESET: Final = (
    # Not in answer to a reset, which would be thrown away and not heard.
    *("-p", "tcp", "!", "--tcp-flags", "RST", "RST"),
    *("-j", "REJECT", "--reject-with", "tcp-reset"),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of iptables in the namespace of a node."""

    node: str
    match: tuple[str, str]
    """The chain, and the option that names the other side."""
    address: str
    action: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """One network: names by the pid of the run, addresses from `subnet`, a /24."""

    pid: int
    nodes: tuple[str, ...]
    subnet: IPv4Network

    @property
    def link(self) -> str:
        """The tool's own end of the way to the hub."""
        return f"{_PREFIX}{self.pid}"

    def namespace(self, name: str) -> str:
        """That of a node, or of the hub."""
        return f"{_PREFIX}{self.pid}-{name}"

    def address(self, name: str) -> str:
        """That of a node, or of the clients."""
        number = _HOST_OF_CLIENTS if name == CLIENTS else 1 + self.nodes.index(name)
        return str(self.subnet[number])

    def making(self) -> Iterator[Command]:
        """Makes all of it; nothing is in the way of anything."""
        hub = self.namespace(_HUB)
        yield ("ip", "netns", "add", hub)
        yield ("ip", "-n", hub, "link", "add", _HUB, "type", "bridge")
        yield ("ip", "-n", hub, "link", "set", _HUB, "up")
        for node in self.nodes:
            own = self.namespace(node)
            yield ("ip", "netns", "add", own)
            yield _veth(("eth0", "netns", own), (node, "netns", hub))
            yield ("ip", "-n", hub, "link", "set", node, "master", _HUB, "up")
            yield ("ip", "-n", own, "address", "add", self._with_bits(node), "dev", "eth0")
            yield ("ip", "-n", own, "link", "set", "lo", "up")
            yield ("ip", "-n", own, "link", "set", "eth0", "up")
        yield _veth((self.link,), (CLIENTS, "netns", hub))
        yield ("ip", "-n", hub, "link", "set", CLIENTS, "master", _HUB, "up")
        yield ("ip", "address", "add", self._with_bits(CLIENTS), "dev", self.link)
        yield ("ip", "link", "set", self.link, "up")

    def cutting(self, pairs: Iterable[Pair]) -> list[Rule]:
        """What is said in these directions is thrown away, where it comes in; what the clients are
        told, where it goes out: the tool's own namespace has no rules."""
        return [self._rule(pair, _DROP) for pair in pairs]

    def resetting(self, one: str, other: str) -> list[Rule]:
        """Who says something to the other, on a connection or to make one, is told that there is
        none; at one of the two nodes, since the other's kernel says the rest."""
        pair = (one, other) if other != CLIENTS else (other, one)
        return [self._rule(pair, _RESET)]

    def adding(self, alike: Sequence[Rule]) -> Command:
        """Puts rules in force that differ only in whom they mean: all, or, on failure, none."""
        return self._iptables("-A", alike)

    def removing(self, alike: Sequence[Rule]) -> Command:
        """The exact inverse."""
        return self._iptables("-D", alike)

    def _rule(self, pair: Pair, action: tuple[str, ...]) -> Rule:
        sender, receiver = pair
        if receiver == CLIENTS:
            return Rule(sender, ("OUTPUT", "-d"), self.address(CLIENTS), action)
        return Rule(receiver, ("INPUT", "-s"), self.address(sender), action)

    def _iptables(self, how: str, alike: Sequence[Rule]) -> Command:
        first = alike[0]
        chain, option = first.match
        return (
            *("ip", "netns", "exec", self.namespace(first.node)),
            *("iptables", "-w", str(_LOCK_WAIT_S), how, chain),
            *(option, ",".join(rule.address for rule in alike), *first.action),
        )

    def _with_bits(self, name: str) -> str:
        return f"{self.address(name)}/{_SUBNET_BITS}"


def _veth(one: Command, other: Command) -> Command:
    return ("ip", "link", "add", *one, "type", "veth", "peer", "name", *other)


def grouped(rules: Iterable[Rule]) -> list[list[Rule]]:
    """Those together that differ only in whom they mean: one command does for them."""
    groups: dict[tuple[object, ...], list[Rule]] = {}
    for rule in rules:
        groups.setdefault((rule.node, rule.match, rule.action), []).append(rule)
    return list(groups.values())


@dataclass(frozen=True, slots=True)
class Remains:
    """What there is of the networks of one run."""

    pid: int
    namespaces: tuple[str, ...]
    links: tuple[str, ...]

    def removing(self) -> list[Command]:
        """Takes it away; with a namespace goes what is in it, once no process is."""
        return [
            *(("ip", "link", "delete", link) for link in self.links),
            *(("ip", "netns", "delete", namespace) for namespace in self.namespaces),
        ]


def remains(namespaces: Iterable[str], links: Iterable[str]) -> list[Remains]:
    """All that has such names among those of the machine, by run."""
    found: dict[int, tuple[list[str], list[str]]] = {}
    for index, names in enumerate((namespaces, links)):
        for name in names:
            pid = _pid_of(name)
            if pid is not None:
                found.setdefault(pid, ([], []))[index].append(name)
    return [Remains(pid, tuple(n), tuple(ls)) for pid, (n, ls) in sorted(found.items())]


def _pid_of(name: str) -> int | None:
    """Of the run that `name` is by; None: it is by none."""
    pid = name.removeprefix(_PREFIX).partition("-")[0]
    is_ours = name.startswith(_PREFIX) and pid.isascii() and pid.isdecimal()
    return int(pid) if is_ours else None


def free_subnet(routes: Iterable[Mapping[str, Any]], pid: int) -> IPv4Network:
    """A private /24 that overlaps with no route, as `ip -j route` tells them; another one for
    another `pid` as a rule, for runs that begin at the same time. Raises ConfigurationError."""
    taken = [network for route in routes if (network := _network_of(route)) is not None]
    for block in _BLOCKS:
        subnets = list(block.subnets(new_prefix=_SUBNET_BITS))
        first = pid % len(subnets)
        for subnet in subnets[first:] + subnets[:first]:
            if not any(subnet.overlaps(network) for network in taken):
                return subnet
    raise ConfigurationError(
        "no private /24 is free for --network namespaces: every one that was tried is in a route of"
        " this machine (see `ip route show table all`); use --network proxy"
    )


def _network_of(route: Mapping[str, Any]) -> IPv4Network | None:
    """Where it goes; None: by default, anywhere."""
    to = str(route.get("dst", "default"))
    if to == "default":
        return None
    network = IPv4Network(to, strict=False)
    return network if network.prefixlen >= _ROUTE_BITS_MIN else None
