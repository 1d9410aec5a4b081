"""Runs seeds of one simulation until something is noticed; says what, as one line of JSON.

python -m tools.mutants.sweep SIMULATION SEEDS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from tools.mutants.simulations import SIMULATIONS, Simulation


def sweep(simulation: Simulation, seeds: Sequence[int]) -> dict[str, object]:
    """The first finding with its seed, and how many seeds were run."""
    for count, seed in enumerate(seeds, 1):
        finding = simulation.run(seed)
        if finding is not None:
            return {
                "seeds": count,
                "seed": seed,
                "check": finding.check,
                "detail": finding.detail,
            }
    return {"seeds": len(seeds), "check": None}


def main() -> None:
    """The command line."""
    name, count = sys.argv[1], int(sys.argv[2])
    print(json.dumps(sweep(SIMULATIONS[name](), range(count))))


if __name__ == "__main__":
    main()
