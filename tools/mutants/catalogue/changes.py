"""Mistakes in what users see of changes: locks, many keys, transactions and their checks."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_LOCK: Final = "kvstore/client/lock.py"
_MANY: Final = "kvstore/client/many.py"
_CHANGES: Final = "kvstore/client/changes.py"
_CHECKS: Final = "kvstore/rpc/checks.py"

CHANGES: Final = (
    Mutation(
        name="lock-released-of-another",
        area=Area.CLIENTS,
        mistake="A release deletes the lock's key whoever holds it by now.",
        seen="Redis SET NX recipes that end with DEL",
        path=_LOCK,
        old="""\
            await self._client.delete(self.name, if_value=owner, timeout_s=_RELEASE_S_MAX)
""",
        new="""\
            await self._client.delete(self.name, timeout_s=_RELEASE_S_MAX)
""",
    ),
    Mutation(
        name="lock-outlives-a-pause",
        area=Area.CLIENTS,
        mistake="A holder whose process was paused beyond the lifetime still finds its lock held.",
        seen="leases kept across a pause",
        path=_LOCK,
        old="""\
        return self._lost is not None or self._loop.time() >= self._valid_until_s
""",
        new="""\
        return self._lost is not None
""",
    ),
    Mutation(
        name="lock-left-by-who-was-cancelled",
        area=Area.CLIENTS,
        mistake="Who is cancelled while it takes a lock leaves it behind for a lifetime.",
        seen="cancellation between acquire and release",
        path=_LOCK,
        old="""\
            if self._may_be_held:
""",
        new="""\
            if self._token is not None:
""",
    ),
    Mutation(
        name="full-queue-loses-keys",
        area=Area.CLIENTS,
        mistake="Keys that found the queue full are named neither as written nor as not.",
        seen="partial failures of batches",
        path=_MANY,
        old="""\
            outcomes.update(dict.fromkeys(keys[position:], refused))
""",
        new="""\
            outcomes.update(dict.fromkeys(keys[position : position + 1], refused))
""",
    ),
    Mutation(
        name="busy-taken-for-done",
        area=Area.CLIENTS,
        mistake="A change that a node had no room for counts as done.",
        seen="a status that grew beside a check for failures",
        path=_CHANGES,
        old="""\
    if answer.status in (ChangeStatus.DONE, ChangeStatus.ABSENT):
""",
        new="""\
    if answer.status in (ChangeStatus.DONE, ChangeStatus.ABSENT, ChangeStatus.BUSY):
""",
    ),
    Mutation(
        name="transaction-key-of-another-partition",
        area=Area.HOST,
        mistake="Of a transaction only its own key is checked: others are written where nobody"
        " finds them.",
        seen="routing by an old map",
        path=_CHECKS,
        old="""\
            _check_keys(named, partition, partitions, limits)
""",
        new="""\
            _check_keys([key], partition, partitions, limits)
""",
    ),
    Mutation(
        name="client-sets-the-clock",
        area=Area.HOST,
        mistake="A client's clock is taken for the partition's, and ends lifetimes when it likes.",
        seen="wall clocks in decisions",
        path=_CHECKS,
        old="""\
    if command.clock_ms:
""",
        new="""\
    if command.clock_ms and command.is_timed:
""",
    ),
    Mutation(
        name="lifetime-without-the-time",
        area=Area.HOST,
        mistake="A command that begins a lifetime is proposed without the time: it ends at once.",
        seen="flags that say what is in a message",
        path=_CHECKS,
        old="""\
    if timed is not command.is_timed:
""",
        new="""\
    if command.is_timed and not timed:
""",
    ),
    Mutation(
        name="append-beyond-the-limit",
        area=Area.HOST,
        mistake="A client says itself how large an append may make a value.",
        seen="limits that only clients keep",
        path=_CHECKS,
        old="""\
        if bytes_max > limits.value_bytes_max:
""",
        new="""\
        if len(suffix) > limits.value_bytes_max:
""",
    ),
)
