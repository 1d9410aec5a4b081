"""For unit suites with a mutant in them: the same examples every time, and none written down.

Hypothesis otherwise keeps what failed and tries it first the next time: a mutant would be found
because it was found before.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("planted", derandomize=True, database=None)
settings.load_profile("planted")
