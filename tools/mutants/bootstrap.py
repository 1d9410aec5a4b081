"""The child process: plants what the environment names, then runs a module as `python -m` would.

    KVSTORE_MUTANTS=NAME,… python -m tools.mutants.bootstrap MODULE [ARGUMENT…]

Only this file reads the variable; `everywhere/sitecustomize.py` asks it to for programs that start
others. Nothing of the product may be imported before it has planted.
"""

from __future__ import annotations

import os
import resource
import runpy
import sys
from typing import Final

from tools.mutants.catalogue import find
from tools.mutants.planting import plant

VARIABLE: Final = "KVSTORE_MUTANTS"
_ADDRESS_SPACE_BYTES_MAX: Final = 6 << 30
"""A mistake that fills the memory ends its own process, and not others with it."""


def plant_named() -> None:
    """Plants what the environment names; raises as `plant` and `find` do."""
    names = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
    plant([find(name) for name in names])


def main() -> None:
    """The command line."""
    if len(sys.argv) < 2:
        sys.exit("which module is to run?")
    plant_named()
    # kvstore brings a plugin for pytest, which would rewrite the asserts in all of its modules, and
    # load them itself for that: without the mutations.
    os.environ["PYTEST_ADDOPTS"] = f"{os.environ.get('PYTEST_ADDOPTS', '')} --assert=plain"
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES_MAX, _ADDRESS_SPACE_BYTES_MAX))
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
