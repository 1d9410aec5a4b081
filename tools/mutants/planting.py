"""Puts mutations into modules while they are imported; no file is changed.

A finder at the head of `sys.meta_path` answers for the modules concerned and for no others. Their
compiled files are neither read nor written: those belong to the source as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from tools.mutants.mutation import Mutation, PlantingError


class PlantingLoader(SourceFileLoader):
    """Loads one module with its mutations in it."""

    def __init__(self, name: str, path: str, mutations: Sequence[Mutation]) -> None:
        super().__init__(name, path)
        self._mutations = mutations

    def get_source(self, fullname: str) -> str:
        """The mutated text."""
        source = super().get_source(fullname)
        if source is None:
            raise PlantingError(f"{fullname} has no source to plant {self._names()} in")
        for mutation in self._mutations:
            source = mutation.mutate(source)
        return source

    def get_code(self, fullname: str) -> CodeType:
        """The mutated text, compiled here and now."""
        return compile(self.get_source(fullname), self.path, "exec", dont_inherit=True)

    def _names(self) -> str:
        return ", ".join(mutation.name for mutation in self._mutations)


class PlantingFinder(MetaPathFinder):
    """Finds the modules that have mutations; all others are left to whoever comes next."""

    def __init__(self, mutations: Iterable[Mutation]) -> None:
        self._by_module: dict[str, list[Mutation]] = {}
        for mutation in mutations:
            self._by_module.setdefault(mutation.module, []).append(mutation)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where the module is found as usual, with a loader that plants."""
        mutations = self._by_module.get(fullname)
        if mutations is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            raise PlantingError(f"there is no module {fullname} to plant {mutations[0].name} in")
        spec.loader = PlantingLoader(fullname, spec.origin, mutations)
        return spec


def plant(mutations: Sequence[Mutation]) -> None:
    """From now on the modules concerned are imported with `mutations` in them.

    Raises PlantingError when one was imported before: it would stay as it is, and the mutation
    would be found to survive because it was never there.
    """
    for mutation in mutations:
        if mutation.module in sys.modules:
            raise PlantingError(
                f"{mutation.module} was imported before {mutation.name} was planted"
            )
    sys.meta_path.insert(0, PlantingFinder(mutations))


def stay_first() -> None:
    """Puts what is planted before finders that came later, and would import the modules as they
    are written."""
    sys.meta_path.sort(key=lambda finder: not isinstance(finder, PlantingFinder))
