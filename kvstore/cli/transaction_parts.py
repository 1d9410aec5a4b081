"""The parts of a transaction, each typed as one word that is a command by itself.

```
condition   exists KEY | absent KEY
            value KEY RELATION VALUE
            version | create-revision | mod-revision  KEY RELATION N
operation   put KEY VALUE [--ttl TIME]
            get KEY | delete KEY
            increment KEY [--by N] [--initial N] [--ttl TIME]
            append KEY SUFFIX [--ttl TIME]
            touch KEY --ttl TIME | --no-ttl
```

Relations are ==, !=, < and >.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Final, get_args

from kvstore.cli.changes import ttl_argument
from kvstore.cli.text import from_argument
from kvstore.client.transactions import (
    Append,
    Compare,
    Delete,
    Get,
    Increment,
    Operation,
    Put,
    RelationName,
    Touch,
)
from kvstore.errors import ConfigurationError

_RELATIONS: Final = get_args(RelationName)
_NUMBERS: Final[dict[str, Callable[[bytes, RelationName, int], Compare]]] = {
    "version": Compare.version,
    "create-revision": Compare.create_revision,
    "mod-revision": Compare.mod_revision,
}
CONDITIONS: Final = ("absent", "exists", "value", *_NUMBERS)
OPERATIONS: Final[dict[str, tuple[int, frozenset[str]]]] = {
    "append": (2, frozenset({"--ttl"})),
    "delete": (1, frozenset()),
    "get": (1, frozenset()),
    "increment": (1, frozenset({"--by", "--initial", "--ttl"})),
    "put": (2, frozenset({"--ttl"})),
    "touch": (1, frozenset({"--ttl", "--no-ttl"})),
}
"""How many words each takes, and which options."""


def parsed_condition(text: str) -> Compare:
    """What `text` says; raises ConfigurationError."""
    words = _words("if", text)
    match words:
        case ["exists", key]:
            return Compare.exists(from_argument(key))
        case ["absent", key]:
            return Compare.absent(from_argument(key))
        case [("value" | "version" | "create-revision" | "mod-revision") as subject, key, sign, of]:
            if sign not in _RELATIONS:
                raise ConfigurationError(f"--if {text!r}: {sign!r} is none of ==, !=, < and >")
            relation: RelationName = sign  # type: ignore[assignment]  # one of them
            if subject == "value":
                return Compare.value(from_argument(key), relation, from_argument(of))
            number = _number("if", text, subject, of)
            return _NUMBERS[subject](from_argument(key), relation, number)
    raise ConfigurationError(
        f"--if {text!r} is neither 'exists KEY' nor 'absent KEY', nor 'SUBJECT KEY RELATION VALUE' "
        "with value, version, create-revision or mod-revision"
    )


def parsed_operation(option: str, text: str) -> Operation:
    """What `text`, given with `--option`, says; raises ConfigurationError."""
    name, *rest = _words(option, text) or [""]
    if name not in OPERATIONS:
        raise ConfigurationError(
            f"--{option} {text!r} does not begin with one of {', '.join(OPERATIONS)}"
        )
    count, allowed = OPERATIONS[name]
    words, given = _apart(option, text, rest, allowed)
    if len(words) != count:
        wanted = "a key" if count == 1 else "a key and a value"
        raise ConfigurationError(f"--{option} {text!r}: {name} takes {wanted}")
    key, *more = map(from_argument, words)
    ttl = ttl_argument(given.get("--ttl"))
    match name:
        case "put":
            return Put(key, more[0], ttl)
        case "append":
            return Append(key, more[0], ttl)
        case "increment":
            by, initial = (
                _number(option, text, each, given.get(each, default))
                for each, default in (("--by", "1"), ("--initial", "0"))
            )
            return Increment(key, by, initial, ttl)
        case "touch":
            if ("--no-ttl" in given) is (ttl is not None):
                raise ConfigurationError(
                    f"--{option} {text!r}: a touch needs one of --ttl TIME and --no-ttl"
                )
            return Touch(key, ttl)
    return Delete(key) if name == "delete" else Get(key)


def _words(option: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as problem:
        raise ConfigurationError(f"--{option} {text!r}: {problem}".lower()) from problem


def _apart(
    option: str, text: str, words: list[str], allowed: frozenset[str]
) -> tuple[list[str], dict[str, str]]:
    """Words, and options with their values; what follows -- is words."""
    plain: list[str] = []
    given: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, separator, value = word.partition("=")
        if word == "--":
            plain.extend(rest)
        elif not word.startswith("--"):
            plain.append(word)
        elif name not in allowed:
            raise ConfigurationError(f"--{option} {text!r}: {name} does not stand there")
        elif name == "--no-ttl":
            given[name] = ""
        else:
            found = value if separator else next(rest, None)
            if found is None:
                raise ConfigurationError(f"--{option} {text!r}: {name} needs a value")
            given[name] = found
    return plain, given


def _number(option: str, text: str, name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as problem:
        raise ConfigurationError(
            f"--{option} {text!r}: {name} is {value!r}; it must be a whole number"
        ) from problem
