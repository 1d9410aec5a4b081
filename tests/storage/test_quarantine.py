"""A state that was found to be damaged is not used again."""

from __future__ import annotations

import pytest

from cluster.ids import GroupId
from kvstore.errors import CorruptionError
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.quarantine import check_not_quarantined, quarantine


def test_the_reason_is_said_also_after_a_crash_and_other_groups_are_free() -> None:
    engine = MemoryEngine()
    check_not_quarantined(engine, GroupId(1))
    quarantine(engine, GroupId(1), "a reason")
    found = engine.after_crash()
    with pytest.raises(CorruptionError, match=r"^a reason$"):
        check_not_quarantined(found, GroupId(1))
    check_not_quarantined(found, GroupId(0))
    check_not_quarantined(found, GroupId(2))
