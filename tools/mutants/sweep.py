"""Runs seeds of one simulation until something is noticed; says what, as one line of JSON.

python -m tools.mutants.sweep SIMULATION FROM TO CPU_SECONDS
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tools.mutants.simulations import SIMULATIONS, Finding, Simulation


@dataclass(frozen=True, slots=True)
class Sweep:
    """What came of some seeds in a row."""

    clean: int
    """How many had passed when it ended; the next one is that of `finding`, if there is one."""
    finding: Finding | None
    cpu_s: float

    def as_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Sweep:
        """The same again."""
        fields = json.loads(line)
        finding = fields["finding"] and Finding(**fields["finding"])
        return cls(fields["clean"], finding, fields["cpu_s"])


def sweep(simulation: Simulation, seeds: Sequence[int], cpu_s_max: float) -> Sweep:
    """Runs `seeds` up to the first finding; begins none when `cpu_s_max` are spent."""
    started_s = time.process_time()
    clean = 0
    finding = None
    for seed in seeds:
        if time.process_time() - started_s >= cpu_s_max:
            break
        finding = simulation.run(seed)
        if finding is not None:
            break
        clean += 1
    return Sweep(clean, finding, time.process_time() - started_s)


def main() -> None:
    """The command line."""
    name, first, end, cpu_s_max = sys.argv[1:]
    print(sweep(SIMULATIONS[name](), range(int(first), int(end)), float(cpu_s_max)).as_json())


if __name__ == "__main__":
    main()
