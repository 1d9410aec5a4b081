"""When a cluster of real nodes is whole again: all members vote, lack nothing and hold the same."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import grpc.aio

from kvstore import AsyncClient, KVStoreError
from kvstore.client.channel import ConnectionClosed, call
from kvstore.client.direct_channel import DirectChannel
from kvstore.client.scrub import GroupScrub, ScrubVerdict
from kvstore.generated.kvstore.v1 import admin_pb2

_LAG_MAX = 200
"""Entries that a follower may lack under load."""
_ANSWER_TIMEOUT_S = 2.0


async def _status(address: str) -> admin_pb2.StatusResponse | None:
    channel = DirectChannel(address)
    try:
        answer: admin_pb2.StatusResponse = await call(
            channel.status, admin_pb2.StatusRequest(), _ANSWER_TIMEOUT_S
        )
    except (grpc.aio.AioRpcError, ConnectionClosed):
        return None
    finally:
        await channel.close()
    return answer


async def _what_is_missing(addresses: Mapping[str, str]) -> str:
    answers = await asyncio.gather(*map(_status, addresses.values()))
    silent = [node for node, answer in zip(addresses, answers, strict=True) if answer is None]
    if silent:
        return f"{silent} do not answer"
    heard = [answer for answer in answers if answer is not None]
    now = {answer.replica_id for answer in heard}
    groups = {replica.group_id for answer in heard for replica in answer.replicas}
    led = {
        replica.group_id: replica
        for answer in heard
        for replica in sorted(answer.replicas, key=lambda each: each.term)
        if replica.role == "leader"
    }
    for group in sorted(groups):
        leader = led.get(group)
        if leader is None:
            return f"group {group} has no leader"
        if set(leader.voter_ids) != now or leader.is_changing_members:
            return f"group {group} has voters {list(leader.voter_ids)}, nodes are {sorted(now)}"
        lags = {lag.replica_id: lag.entries for lag in leader.lags}
        if max(lags.values(), default=0) > _LAG_MAX:
            return f"group {group}: members lack entries: {lags}"
    return ""


async def all_vote(addresses: Mapping[str, str], within_s: float = 60.0) -> None:
    """Until each node votes in each group, under the replica id that it has now."""
    missing = ""
    try:
        async with asyncio.timeout(within_s):
            while missing := await _what_is_missing(addresses):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not whole again after {within_s} s: {missing}") from None


async def scrubbed(client: AsyncClient, timeout_s: float = 10.0) -> tuple[GroupScrub, ...]:
    """What a scrub of everything finds."""
    return await client.scrub(timeout_s=timeout_s)


async def all_agree(
    client: AsyncClient, addresses: Mapping[str, str], within_s: float = 90.0
) -> None:
    """Until a scrub finds all replicas of all groups the same, and all nodes vote; a node that it
    names is given the time to rebuild itself."""
    found: object = None
    try:
        async with asyncio.timeout(within_s):
            while True:
                await all_vote(addresses)
                try:
                    found = groups = await scrubbed(client)
                except KVStoreError as problem:
                    found = problem
                else:
                    if all(group.verdict is ScrubVerdict.AGREED for group in groups):
                        return
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"replicas do not agree after {within_s} s: {found}") from None
