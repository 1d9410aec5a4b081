"""States that must not be used any more, though they can be read: a scrub has found them damaged.

```
quarantine     why, as text in UTF-8
```
"""

from __future__ import annotations

from cluster.ids import GroupId
from kvstore.errors import CorruptionError
from kvstore.storage.engine import Engine
from kvstore.storage.keys import quarantine_key


def quarantine(engine: Engine, group: GroupId, reason: str) -> None:
    """From now on the state of `group` must not be used; on stable storage on return."""
    batch = engine.new_batch()
    batch.put(quarantine_key(group), reason.encode())
    engine.write(batch)
    engine.flush()


def check_not_quarantined(engine: Engine, group: GroupId) -> None:
    """Raises CorruptionError, with the reason, when the state of `group` must not be used."""
    (reason,) = engine.get_many([quarantine_key(group)])
    if reason is not None:
        raise CorruptionError(reason.decode(errors="replace"))
