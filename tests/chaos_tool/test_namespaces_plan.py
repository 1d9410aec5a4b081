"""Networks of namespaces: which commands are run for what, where, and with which addresses."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network

import pytest

from kvstore.chaos.mesh import CLIENTS, Pair, both_ways
from kvstore.chaos.namespaces.plan import (
    Command,
    NetworkPlan,
    Remains,
    Rule,
    free_subnet,
    grouped,
    remains,
)
from kvstore.errors import ConfigurationError

PLAN = NetworkPlan(42, ("n1", "n2", "n3"), IPv4Network("10.192.7.0/24"))
IN_N1 = "ip netns exec kvchaos-42-n1 iptables -w 5"
IN_N2 = "ip netns exec kvchaos-42-n2 iptables -w 5"
IN_N3 = "ip netns exec kvchaos-42-n3 iptables -w 5"
RESET = "-p tcp ! --tcp-flags RST RST -j REJECT --reject-with tcp-reset"


def texts(rules: list[Rule], command: Callable[[list[Rule]], Command]) -> list[str]:
    return [" ".join(command(alike)) for alike in grouped(rules)]


@pytest.mark.parametrize(
    ("pairs", "lines"),
    [
        # One way: where it comes in.
        ([("n1", "n2")], [f"{IN_N2} -A INPUT -s 10.192.7.1 -j DROP"]),
        (
            [("n1", "n2"), ("n1", "n3")],
            [
                f"{IN_N2} -A INPUT -s 10.192.7.1 -j DROP",
                f"{IN_N3} -A INPUT -s 10.192.7.1 -j DROP",
            ],
        ),
        # A partition, n1 | n2 n3: one command for each node.
        (
            [*both_ways("n1", "n2"), *both_ways("n1", "n3")],
            [
                f"{IN_N2} -A INPUT -s 10.192.7.1 -j DROP",
                f"{IN_N1} -A INPUT -s 10.192.7.2,10.192.7.3 -j DROP",
                f"{IN_N3} -A INPUT -s 10.192.7.1 -j DROP",
            ],
        ),
        # Of the clients: both directions at the node.
        (
            list(both_ways("n1", CLIENTS)),
            [
                f"{IN_N1} -A OUTPUT -d 10.192.7.254 -j DROP",
                f"{IN_N1} -A INPUT -s 10.192.7.254 -j DROP",
            ],
        ),
    ],
)
def test_a_cut_is_these_commands_and_their_inverse(pairs: list[Pair], lines: list[str]) -> None:
    rules = PLAN.cutting(pairs)
    assert texts(rules, PLAN.adding) == lines
    assert texts(rules, PLAN.removing) == [line.replace(" -A ", " -D ") for line in lines]


@pytest.mark.parametrize(
    ("pair", "line"),
    [
        (("n1", "n2"), f"{IN_N2} -A INPUT -s 10.192.7.1 {RESET}"),
        (("n1", CLIENTS), f"{IN_N1} -A INPUT -s 10.192.7.254 {RESET}"),
        ((CLIENTS, "n1"), f"{IN_N1} -A INPUT -s 10.192.7.254 {RESET}"),
    ],
)
def test_a_reset_is_at_one_node_and_never_in_the_tools_own_namespace(pair: Pair, line: str) -> None:
    rules = PLAN.resetting(*pair)
    assert texts(rules, PLAN.adding) == [line]
    assert texts(rules, PLAN.removing) == [line.replace(" -A ", " -D ")]


def test_a_network_is_a_namespace_for_each_node_and_one_for_the_bridge() -> None:
    plan = NetworkPlan(4194304, ("n1",), IPv4Network("10.192.7.0/24"))
    hub, own = "kvchaos-4194304-hub", "kvchaos-4194304-n1"
    assert [" ".join(command) for command in plan.making()] == [
        f"ip netns add {hub}",
        f"ip -n {hub} link add hub type bridge",
        f"ip -n {hub} link set hub up",
        f"ip netns add {own}",
        f"ip link add eth0 netns {own} type veth peer name n1 netns {hub}",
        f"ip -n {hub} link set n1 master hub up",
        f"ip -n {own} address add 10.192.7.1/24 dev eth0",
        f"ip -n {own} link set lo up",
        f"ip -n {own} link set eth0 up",
        f"ip link add kvchaos-4194304 type veth peer name clients netns {hub}",
        f"ip -n {hub} link set clients master hub up",
        "ip address add 10.192.7.254/24 dev kvchaos-4194304",
        "ip link set kvchaos-4194304 up",
    ]
    assert len(plan.link) <= 15, "links have no longer names"


def test_what_there_is_of_runs_is_known_by_its_name_alone() -> None:
    found = remains(
        ["kvchaos-42-hub", "mine", "kvchaos-7-n1", "kvchaos-42-n1", "kvchaos-x-n1"],
        ["lo", "eth0", "kvchaos-42", "kvchaos-"],
    )
    assert found == [
        Remains(7, ("kvchaos-7-n1",), ()),
        Remains(42, ("kvchaos-42-hub", "kvchaos-42-n1"), ("kvchaos-42",)),
    ]
    assert [" ".join(command) for command in found[1].removing()] == [
        "ip link delete kvchaos-42",
        "ip netns delete kvchaos-42-hub",
        "ip netns delete kvchaos-42-n1",
    ]


def test_the_names_of_a_network_are_all_found_again() -> None:
    made = [PLAN.namespace(name) for name in ("hub", *PLAN.nodes)]
    assert remains(made, [PLAN.link]) == [Remains(42, tuple(made), (PLAN.link,))]


@pytest.mark.parametrize(
    ("routes", "subnet"),
    [
        ([], "10.215.3.0/24"),
        (["default", "0.0.0.0/1", "128.0.0.0/1"], "10.215.3.0/24"),
        (["10.215.0.0/22"], "10.215.4.0/24"),
        (["10.215.3.17"], "10.215.4.0/24"),
        (["10.215.4.0/22", "10.215.3.0/24", "10.215.8.0/21"], "10.215.16.0/24"),
        (["10.0.0.0/8", "172.16.0.0/16"], "172.31.3.0/24"),
        (["10.0.0.0/8", "172.16.0.0/12"], "192.168.3.0/24"),
    ],
)
def test_addresses_are_in_no_route_of_the_machine(routes: list[str], subnet: str) -> None:
    assert free_subnet([{"dst": dst} for dst in routes], pid=3) == IPv4Network(subnet)


def test_where_every_address_is_in_a_route_that_is_said() -> None:
    routes = [{"dst": dst} for dst in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
    with pytest.raises(ConfigurationError, match="no private /24 is free"):
        free_subnet(routes, pid=3)
