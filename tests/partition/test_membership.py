"""Failure detection counts ticks, and names each newly silent peer once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import ReplicaId
from cluster.membership import UNKNOWN_SILENCE_TICKS, PeerContacts

ME = ReplicaId(1)
A, B, C = ReplicaId(2), ReplicaId(3), ReplicaId(4)


def ticked(contacts: PeerContacts, ticks: int) -> list[list[ReplicaId]]:
    return [contacts.tick() for _ in range(ticks)]


def test_a_peer_never_heard_of_is_silent_since_the_start() -> None:
    contacts = PeerContacts(ME, [A], suspect_after_ticks=3)
    assert contacts.silent_ticks(A) == 0
    assert ticked(contacts, 5) == [[], [], [A], [], []]
    assert contacts.silent_ticks(A) == 5
    assert contacts.suspects() == [A]


def test_a_peer_that_is_heard_of_is_not_suspected() -> None:
    contacts = PeerContacts(ME, [A], suspect_after_ticks=3)
    for _ in range(10):
        assert ticked(contacts, 2) == [[], []]
        contacts.heard(A)
        assert contacts.silent_ticks(A) == 0
    assert contacts.suspects() == []


def test_a_peer_is_reported_again_only_after_it_was_heard_of() -> None:
    contacts = PeerContacts(ME, [A], suspect_after_ticks=2)
    assert ticked(contacts, 6) == [[], [A], [], [], [], []]
    contacts.heard(A)
    assert contacts.suspects() == []
    assert ticked(contacts, 4) == [[], [A], [], []]


def test_peers_that_fall_silent_together_are_reported_together_in_order() -> None:
    contacts = PeerContacts(ME, [C, A, B], suspect_after_ticks=2)
    contacts.tick()
    contacts.heard(B)
    assert contacts.tick() == [A, C]
    assert contacts.tick() == [B]


def test_suspects_can_be_asked_for_with_another_limit() -> None:
    contacts = PeerContacts(ME, [A, B], suspect_after_ticks=10)
    ticked(contacts, 3)
    contacts.heard(B)
    ticked(contacts, 2)
    assert contacts.suspects(limit_ticks=5) == [A]
    assert contacts.suspects(limit_ticks=2) == [A, B]
    assert contacts.suspects() == []


def test_this_node_is_always_reachable_and_one_never_heard_of_is_not() -> None:
    contacts = PeerContacts(ME, [A, B], suspect_after_ticks=10)
    assert contacts.reachable([ME, A, B], within_ticks=5) == 1
    contacts.heard(A)
    assert contacts.reachable([ME, A, B], within_ticks=5) == 2
    ticked(contacts, 4)
    assert contacts.reachable([ME, A, B], within_ticks=5) == 2
    contacts.tick()
    assert contacts.reachable([ME, A, B], within_ticks=5) == 1
    assert contacts.reachable([A, B], within_ticks=5) == 0
    assert contacts.reachable([ME, A], within_ticks=6) == 2


def test_only_watched_peers_are_known() -> None:
    contacts = PeerContacts(ME, [A, ME], suspect_after_ticks=1)
    assert list(contacts.peers) == [A]
    contacts.heard(B)
    assert contacts.reachable([A, B], within_ticks=9) == 0
    assert contacts.tick() == [A]
    for stranger in (B, ME):
        assert contacts.silent_ticks(stranger) == UNKNOWN_SILENCE_TICKS


def test_watching_others_keeps_what_is_known_of_those_that_stay() -> None:
    contacts = PeerContacts(ME, [A, B], suspect_after_ticks=3)
    contacts.heard(A)
    contacts.heard(B)
    ticked(contacts, 2)
    contacts.watch([C, A])
    assert list(contacts.peers) == [A, C]
    assert contacts.silent_ticks(A) == 2
    assert contacts.silent_ticks(C) == 0
    assert contacts.reachable([A, B, C], within_ticks=9) == 1
    assert ticked(contacts, 3) == [[A], [], [C]]


def test_a_limit_below_one_tick_is_refused() -> None:
    with pytest.raises(ValueError, match="suspect_after_ticks is 0"):
        PeerContacts(ME, [A], suspect_after_ticks=0)


@given(st.lists(st.sampled_from([None, A, B, C]), max_size=60), st.integers(1, 5))
def test_it_agrees_with_counting_each_peer_by_hand(
    happened: list[ReplicaId | None], limit: int
) -> None:
    """None is a tick, a peer is that it was heard of."""
    contacts = PeerContacts(ME, [A, B, C], suspect_after_ticks=limit)
    silence = {A: 0, B: 0, C: 0}
    met: set[ReplicaId] = set()
    suspected: set[ReplicaId] = set()
    for peer in happened:
        if peer is None:
            silence = {peer: ticks + 1 for peer, ticks in silence.items()}
            now = {peer for peer, ticks in silence.items() if ticks >= limit}
            assert contacts.tick() == sorted(now - suspected)
            suspected = now
        else:
            contacts.heard(peer)
            silence[peer] = 0
            met.add(peer)
            suspected.discard(peer)
        assert contacts.suspects() == sorted(suspected)
        assert {peer: contacts.silent_ticks(peer) for peer in silence} == silence
        near = sum(peer in met and ticks < limit for peer, ticks in silence.items())
        assert contacts.reachable([A, B, C, ME], within_ticks=limit) == near + 1


def test_who_says_that_it_is_unfit_is_believed_for_a_while_or_until_it_says_otherwise() -> None:
    contacts = PeerContacts(ME, [A, B], suspect_after_ticks=3)
    assert contacts.is_fit(A)
    assert contacts.takes_entries(A)
    contacts.says_unfit(A, takes_entries=False, for_ticks=5)
    for _ in range(5):
        assert not contacts.is_fit(A)
        assert not contacts.takes_entries(A)
        assert contacts.is_fit(B)
        contacts.tick()
    assert contacts.is_fit(A)
    assert contacts.takes_entries(A)
    contacts.says_unfit(A, takes_entries=False, for_ticks=5)
    contacts.says_unfit(A, takes_entries=True, for_ticks=5)
    assert not contacts.is_fit(A)
    assert contacts.takes_entries(A)
