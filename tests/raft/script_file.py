"""A script as a file: what is a comment, what a command, what its output; and one command's words.

The format is described in script_runner.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.ids import ReplicaId

_PROMPT = "> "
_INDENT = "  "


class ScriptError(Exception):
    """The script asks for something that cannot be done: a mistake in the script, not in Raft."""


@dataclass(slots=True)
class Step:
    """One command and the output that the file says it has."""

    line: int
    text: str
    expected: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Script:
    """A file: its lines in order, those of a command and its output as one Step."""

    path: Path
    parts: list[str | Step]

    @property
    def steps(self) -> list[Step]:
        """The commands in order."""
        return [part for part in self.parts if isinstance(part, Step)]

    @property
    def opening(self) -> str:
        """The comment that the file begins with, as one line."""
        lines: list[str] = []
        for part in self.parts:
            if not isinstance(part, str) or not part.startswith("#"):
                break
            lines.append(part.lstrip("# "))
        return " ".join(lines)

    def rendered(self, outputs: Sequence[Sequence[str]]) -> str:
        """The file with `outputs` in place of what it says, one for each step."""
        lines: list[str] = []
        left = iter(outputs)
        for part in self.parts:
            if isinstance(part, str):
                lines.append(part)
            else:
                lines.append(_PROMPT + part.text)
                lines.extend(_INDENT + line for line in next(left))
        return "\n".join(lines) + "\n"


def read_script(path: Path) -> Script:
    """Raises ScriptError where a line is none of comment, command and output."""
    parts: list[str | Step] = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = raw.rstrip()
        last = parts[-1] if parts else None
        if line.startswith(_PROMPT):
            parts.append(Step(number, line.removeprefix(_PROMPT).strip()))
        elif line.startswith(_INDENT) and isinstance(last, Step):
            last.expected.append(line.removeprefix(_INDENT))
        elif not line or line.startswith("#"):
            parts.append(line)
        else:
            raise ScriptError(f"{path.name}:{number}: neither '# ', '> ' nor output: {line!r}")
    return Script(path, parts)


class Words:
    """The words of one command, taken one by one; what is left over in the end is a mistake."""

    def __init__(self, text: str) -> None:
        words = text.split()
        self.verb = words[0] if words else ""
        self._plain = [word for word in words[1:] if "=" not in word]
        self._named = dict(word.split("=", 1) for word in words[1:] if "=" in word)

    def next(self, what: str) -> str:
        """The next plain word; `what` says in the error what should have been there."""
        if not self._plain:
            raise ScriptError(f"{self.verb}: {what} is missing")
        return self._plain.pop(0)

    def rest(self) -> list[str]:
        """All plain words that are left."""
        taken, self._plain = self._plain, []
        return taken

    def flag(self, name: str) -> bool:
        """Whether the plain word `name` is there."""
        if name not in self._plain:
            return False
        self._plain.remove(name)
        return True

    def times(self) -> int | None:
        """The number in a word such as x3."""
        for word in self._plain:
            if word.startswith("x") and word[1:].isdigit():
                self._plain.remove(word)
                return int(word[1:])
        return None

    def replica(self) -> ReplicaId:
        """The next plain word as a replica."""
        return ReplicaId(self._integer(self.next("a replica")))

    def replicas(self) -> list[ReplicaId]:
        """All plain words that are left, as replicas such as 1, 1..3 or 1,4..5."""
        return [replica for word in self.rest() for replica in self.span(word)]

    def span(self, text: str) -> list[ReplicaId]:
        """The replicas of one word."""
        found: list[ReplicaId] = []
        for part in filter(None, text.split(",")):
            low, dots, high = part.partition("..")
            last = high if dots else low
            found += [ReplicaId(i) for i in range(self._integer(low), self._integer(last) + 1)]
        return found

    def named(self, name: str) -> str | None:
        """The value of name=value."""
        return self._named.pop(name, None)

    def number(self, name: str) -> int | None:
        """The value of name=value as a number."""
        value = self.named(name)
        return None if value is None else self._integer(value)

    def all_named(self) -> Mapping[str, int]:
        """Every name=value that is left."""
        taken, self._named = self._named, {}
        return {name: self._integer(value) for name, value in taken.items()}

    def terms(self, name: str) -> list[int] | None:
        """The value of a log such as 1x3,4: the terms of its entries."""
        value = self.named(name)
        if value is None:
            return None
        terms: list[int] = []
        for part in filter(None, value.split(",")):
            term, _, count = part.partition("x")
            terms += [self._integer(term)] * self._integer(count or "1")
        return terms

    def finish(self) -> None:
        """Raises ScriptError if a word was not taken."""
        left = self._plain + [f"{name}={value}" for name, value in self._named.items()]
        if left:
            raise ScriptError(f"{self.verb}: not understood: {' '.join(left)}")

    def _integer(self, text: str) -> int:
        try:
            return int(text)
        except ValueError:
            raise ScriptError(f"{self.verb}: {text!r} is not a number") from None
