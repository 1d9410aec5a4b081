"""What a judge found wrong."""

from __future__ import annotations

from dataclasses import dataclass

from kvstore.verify.operation import Operation
from kvstore.verify.table import operations_table


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that a history shows broken."""

    promise: str
    detail: str
    operations: tuple[Operation, ...]
    """Those that show it, as few as tell."""

    def text(self) -> str:
        """For people."""
        return f"{self.promise}: {self.detail}\n{operations_table(self.operations)}"
