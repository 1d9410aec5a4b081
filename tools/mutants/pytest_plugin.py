"""For unit suites with a mutant in them: the same examples every time, and none written down.

Hypothesis otherwise keeps what failed and tries it first the next time: a mutant would be found
because it was found before. And pytest imports all of a package that brings a plugin, as kvstore
does, by itself, to rewrite its assertions: what is planted would not be there.
"""

from __future__ import annotations

from hypothesis import settings

from tools.mutants.planting import stay_first

settings.register_profile("planted", derandomize=True, database=None)
settings.load_profile("planted")
stay_first()
