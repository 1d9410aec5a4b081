"""Results on file: what is known of the mutants so far, kept after each one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tools.mutants.catalogue import CATALOGUE
from tools.mutants.mutation import Mutation
from tools.mutants.report import Result, json_of
from tools.mutants.simulations import ROOT
from tools.mutants.trial import Verdict

_SOURCES: Final = ("cluster", "kvstore", "tests", "tools/mutants")


class SavedError(Exception):
    """A file that is none of saved results."""


def digest_of_sources(root: Path = ROOT) -> str:
    """Of the product, the checks and the catalogue: with others results may be others."""
    digest = hashlib.sha256()
    for path in sorted(file for room in _SOURCES for file in (root / room).rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def load(path: Path, catalogue: Sequence[Mutation] = CATALOGUE) -> dict[str, Result]:
    """The results in `path`, by the name of the mutant; none when there is no such file. Mutants
    that the catalogue has no more, or has with another text, are left out.

    Raises SavedError when it holds something else.
    """
    if not path.exists():
        return {}
    by_name = {mutation.name: mutation for mutation in catalogue}
    try:
        results = [
            _result(by_name[entry["name"]], entry)
            for entry in json.loads(path.read_text())
            if entry["name"] in by_name and entry["text"] == by_name[entry["name"]].digest
        ]
    except (KeyError, TypeError, ValueError) as problem:
        raise SavedError(f"{path} holds no results: {problem!r}") from problem
    return {result.mutation.name: result for result in results}


def save(path: Path, results: Sequence[Result]) -> None:
    """Writes all of them, or leaves what was there."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(json_of(results) + "\n")
    os.replace(beside, path)


def _result(mutation: Mutation, entry: dict[str, Any]) -> Result:
    units, simulations = (
        None if entry[kind] is None else Verdict(**entry[kind]) for kind in ("units", "simulations")
    )
    return Result(mutation, units, simulations, entry["sources"])
