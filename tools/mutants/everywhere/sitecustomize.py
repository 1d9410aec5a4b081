"""For programs that start others, such as `kvstore chaos`: Python imports this at every start.

    KVSTORE_MUTANTS=NAME,… PYTHONPATH=.:tools/mutants/everywhere kvstore chaos …

What the variable names is planted in the program and in all the processes that it starts.
"""

from __future__ import annotations

try:
    from tools.mutants.bootstrap import plant_named

    plant_named()
except Exception as problem:
    # Python would go on without, and the mistake would be found to survive that was never there.
    raise SystemExit(f"nothing was planted: {problem}") from problem
