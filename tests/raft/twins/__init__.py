"""Parts of the core against naive twins: the same thing said in the simplest way, slow and obvious.

Each twin stands beside the test that compares it, and keeps nothing that the real one computes. The
cases are the same in every run.
"""

from __future__ import annotations

from hypothesis import settings

CASES = settings(derandomize=True, deadline=None, max_examples=200)
"""For functions."""

LIVES = settings(derandomize=True, deadline=None, max_examples=80, stateful_step_count=50)
"""For state machines: so many lives of so many steps."""
