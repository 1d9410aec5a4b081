"""What a judge found wrong."""

from __future__ import annotations

from dataclasses import dataclass

from kvstore.codec.text import to_cell
from kvstore.verify.operation import Operation
from kvstore.verify.table import operations_table


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that a history shows broken."""

    promise: str
    detail: str
    operations: tuple[Operation, ...]
    """Those that show it, as few as tell; none where that was not looked for."""
    key: bytes | None = None
    """Of the object; None where it is not of one object alone."""
    until_ns: int | None = None
    """What returned later counts as unknown here: the answers up to then cannot all be right."""

    def headline(self) -> str:
        """In one line."""
        of_key = "" if self.key is None else f' "{to_cell(self.key)}"'
        return f"{self.promise}{of_key}: {self.detail}"

    def text(self) -> str:
        """For people."""
        head = self.headline()
        return f"{head}\n{operations_table(self.operations)}" if self.operations else head
