"""Who watches a run: checkers, told of everything that happens in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from cluster.ids import ReplicaId
from kvstore.environment import GroupMessage
from kvstore.simulation.checkers import Checker
from kvstore.simulation.kernel import Kernel

if TYPE_CHECKING:
    from kvstore.simulation.cluster import Cluster
    from kvstore.simulation.node import SimulatedNode

_HOOKS: Final = ("on_start", "on_round", "on_send", "on_persisted", "on_crash", "on_done", "at_end")


class Observers:
    """Calls the hooks that checkers have. What one raises ends the run.

    Hooks are called in the middle of the node's own work, which must not take their exceptions for
    its own: so they go to the kernel.
    """

    __slots__ = ("_hooks", "_kernel", "_on_round", "_on_send")

    def __init__(self, kernel: Kernel, checkers: Iterable[object]) -> None:
        self._kernel = kernel
        watchers = list(checkers)
        self._hooks: dict[str, list[Callable[..., None]]] = {
            name: [getattr(each, name) for each in watchers if _has_own(each, name)]
            for name in _HOOKS
        }
        self._on_round = self._hooks["on_round"]
        self._on_send = self._hooks["on_send"]

    def on_start(self, node: SimulatedNode) -> None:
        """A node has come up."""
        self._call_with(self._hooks["on_start"], node)

    def on_round(self, node: SimulatedNode) -> None:
        """Its host has had a round."""
        self._call_with(self._on_round, node)

    def on_send(self, node: SimulatedNode, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        """It sends."""
        self._call_with(self._on_send, node, to, messages)

    def on_persisted(self, node: SimulatedNode) -> None:
        """A write to its commit log has ended."""
        self._call_with(self._hooks["on_persisted"], node)

    def on_crash(self, node: SimulatedNode) -> None:
        """Its process is about to end without warning."""
        self._call_with(self._hooks["on_crash"], node)

    def on_done(self, key: bytes, value: bytes) -> None:
        """A client hears that its write was done."""
        try:
            for hook in self._hooks["on_done"]:
                hook(key, value)
        except Exception as violation:
            self._kernel.fail(violation)

    def at_end(self, cluster: Cluster) -> None:
        """Everything has come to rest."""
        for node in cluster.nodes:
            node.files.is_watched = node.engine.is_watched = True
        try:
            for hook in self._hooks["at_end"]:
                hook(cluster)
        except Exception as violation:
            self._kernel.fail(violation)
        for node in cluster.nodes:
            node.files.is_watched = node.engine.is_watched = False

    def _call_with(
        self, hooks: list[Callable[..., None]], node: SimulatedNode, *arguments: Any
    ) -> None:
        """Checkers read the node's log with the node's own means: that its disk is about to fail
        is no business of theirs, nor what is rotten on it."""
        node.files.is_watched = node.engine.is_watched = True
        try:
            for hook in hooks:
                hook(node, *arguments)
        except Exception as violation:
            self._kernel.fail(violation)
        finally:
            node.files.is_watched = node.engine.is_watched = False


def _has_own(checker: object, name: str) -> bool:
    """Whether a checker has a hook that does something: most have no use for most."""
    own = getattr(type(checker), name, None)
    return own is not None and own is not getattr(Checker, name)
