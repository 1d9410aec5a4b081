"""Errors of the deciding half."""

from __future__ import annotations


class InvariantViolation(Exception):
    """Something that must never be was seen: the node stops before it can do harm.

    Never caught to go on. The message names the invariant and the values that break it.
    """


class MemoryLost(InvariantViolation):
    """Others know of entries that were persisted here and are here no more: the disk has lost what
    was acknowledged. Such a replica must not go on under its name."""


class ProposalRefused(Exception):
    """A proposal that was not taken: nothing was appended, and nothing will be applied."""


class NotLeader(ProposalRefused):
    """This replica does not lead its group."""


class TransferInProgress(ProposalRefused):
    """The leader is handing over and takes no proposals until that ends."""


class TooManyUncommitted(ProposalRefused):
    """The entries that wait for their commit have reached their bound in bytes."""
