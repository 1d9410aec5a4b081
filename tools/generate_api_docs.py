"""Writes docs/api.md from the docstrings of what `kvstore` exports, or with --check compares it."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import kvstore

TARGET: Final = Path(__file__).resolve().parent.parent / "docs" / "api.md"
WIDTH: Final = 92

SECTIONS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    (
        "Clients",
        "`AsyncClient` is for asyncio programs, `Client` for all others. Both say the same words. "
        "A `Ttl` is seconds (`int` or `float`) or a `timedelta`; an `Operation` is one of Put, "
        "Delete, Get, Increment, Append and Touch.",
        ("AsyncClient", "Client"),
    ),
    ("Results", "What calls give.", ("Record", "PutResult", "DeleteResult", "Location")),
    (
        "Consistency",
        "How much a read has to see, and what it says of where it is from"
        " ([more](consistency.md)). A `Level` is a Consistency, its name, a Stale or a Seen.",
        ("Consistency", "Stale", "Seen", "Answer", "Receipt"),
    ),
    ("Scans", "What `scan` and its like give.", ("AsyncScan", "SyncScan")),
    (
        "Transactions",
        "What `transaction` is made of, and what it gives.",
        (
            *("Compare", "Put", "Delete", "Get", "Increment", "Append", "Touch"),
            "TransactionResult",
        ),
    ),
    ("Locks", "What `lock` gives.", ("Lock", "SyncLock", "Fence")),
    (
        "Errors",
        "All are KVStoreError, and each says by its `outcome` whether a write may have been "
        "applied.",
        (
            *("KVStoreError", "Outcome", "InvalidArgument", "Unavailable", "DeadlineExceeded"),
            *("OutcomeUnknown", "SessionExpired", "ScanExpired", "ResourceExhausted"),
            *("ConditionFailed", "Fenced", "NotANumber"),
            *("CounterOverflow", "BatchFailed", "LockTimeout", "LockLost", "ClientClosed"),
        ),
    ),
    (
        "The cluster",
        "What a cluster says of itself, and clusters for development.",
        (
            *("ClusterStatus", "NodeStatus", "GroupStatus", "GroupScrub", "ReplicaScrub"),
            *("ScrubVerdict", "Finding", "LeaderPlacement", "LocalCluster"),
        ),
    ),
)


CONSTRUCTED: Final = ("AsyncClient", "Client", "LocalCluster")
"""What users make themselves and is no plain value."""


@dataclass(frozen=True, slots=True)
class Member:
    """A public attribute or method of a class."""

    name: str
    signature: str
    text: str
    is_method: bool


class Undocumented(Exception):
    """A public name without a docstring."""


def render() -> str:
    """The whole page."""
    named = [name for _, _, names in SECTIONS for name in names]
    if sorted(named) != sorted(kvstore.__all__):
        differing = set(named) ^ set(kvstore.__all__)
        raise Undocumented(f"sections and kvstore.__all__ differ: {sorted(differing)}")
    parts = [
        "# The Python library",
        "Written from the docstrings by `tools/generate_api_docs.py`; do not edit. Examples that "
        "can be run are in [examples](examples.md).",
        "```python\nfrom kvstore import AsyncClient, Client\n```",
    ]
    for title, introduction, names in SECTIONS:
        parts += [f"## {title}", introduction]
        for name in names:
            parts += _class(getattr(kvstore, name))
    return "\n\n".join(parts) + "\n"


def _class(cls: type) -> Iterator[str]:
    bases = [base.__name__ for base in cls.__bases__ if base.__name__ in kvstore.__all__]
    yield f"### {cls.__name__}" + (f" ({', '.join(bases)})" if bases else "")
    yield _documented(cls.__name__, cls.__doc__)
    if cls.__name__ in CONSTRUCTED:
        tree = _tree(cls)
        (init,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
        yield f"```python\n{_signature(cls, cls.__name__, init)}\n```"
    members = list(_members(cls))
    same = [each.name for each in members if each.text.startswith("See AsyncClient.")]
    if same:
        yield "As those of AsyncClient, without `await`: " + ", ".join(f"`{n}`" for n in same) + "."
    fields = [each for each in members if not each.is_method]
    if fields:
        yield "\n".join(
            f"- `{each.signature}`" + (f": {_one_line(each.text)}" if each.text else "")
            for each in fields
        )
    for each in members:
        if each.is_method and each.name not in same:
            yield f"#### {cls.__name__}.{each.name}\n\n```python\n{each.signature}\n```"
            yield each.text


def _documented(name: str, text: str | None) -> str:
    if not text:
        raise Undocumented(f"{name} has no docstring")
    return inspect.cleandoc(text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _members(cls: type) -> Iterator[Member]:
    """Of the class and of its bases here, those first that stand further down."""
    seen: set[str] = set()
    own = [base for base in reversed(cls.__mro__) if base.__module__.split(".")[0] == "kvstore"]
    for base in own:
        if base is not cls and base.__name__ in kvstore.__all__:
            continue  # stands under its own name
        for member in _of_tree(base, _tree(base)):
            if member.name not in seen:
                seen.add(member.name)
                yield member


def _tree(cls: type) -> ast.ClassDef:
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(tree, ast.ClassDef)
    return tree


def _of_tree(cls: type, tree: ast.ClassDef) -> Iterator[Member]:
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        match node:
            case ast.FunctionDef(name="__init__"):
                yield from _of_constructor(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef() if not node.name.startswith("_"):
                decorators = [ast.unparse(each) for each in node.decorator_list]
                if "overload" not in decorators and "abstractmethod" not in decorators:
                    yield _function(cls, node, decorators)
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                yield Member(name, ast.unparse(node), _text_of(after), False)
            case ast.Assign(targets=[ast.Name(id=name)]) if not name.startswith("_"):
                yield Member(name, ast.unparse(node), _text_of(after), False)


def _of_constructor(node: ast.FunctionDef) -> Iterator[Member]:
    """Attributes that are set and described there."""
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        match statement:
            case ast.Assign(targets=[ast.Attribute(attr=name)]) if not name.startswith("_"):
                if text := _text_of(after):
                    yield Member(name, name, text, False)


def _function(
    cls: type, node: ast.FunctionDef | ast.AsyncFunctionDef, decorators: list[str]
) -> Member:
    text = _documented(f"{cls.__name__}.{node.name}", ast.get_docstring(node))
    returns = ast.unparse(node.returns) if node.returns else ""
    if "property" in decorators:
        return Member(node.name, f"{node.name}: {returns}", text, False)
    name = f"{cls.__name__}.{node.name}" if "classmethod" in decorators else node.name
    if isinstance(node, ast.AsyncFunctionDef):
        name = f"async for … in {name}" if "Generator" in returns else f"await {name}"
    return Member(node.name, _signature(cls, name, node), text, True)


def _signature(cls: type, name: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    parameters = list(_parameters(cls, node.args))
    returns = ast.unparse(node.returns) if node.returns and node.name != "__init__" else ""
    tail = f" -> {returns}" if returns else ""
    line = f"{name}({', '.join(parameters)}){tail}"
    if len(line) <= WIDTH:
        return line
    inner = ",\n".join(f"    {each}" for each in parameters)
    return f"{name}(\n{inner},\n){tail}"


def _parameters(cls: type, arguments: ast.arguments) -> Iterator[str]:
    first = len(arguments.args) - len(arguments.defaults)
    for position, each in enumerate(arguments.args):
        if each.arg not in ("self", "cls"):
            default = arguments.defaults[position - first] if position >= first else None
            yield ast.unparse(each) + _default(cls, default)
    if arguments.kwonlyargs:
        yield "*"
    for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield ast.unparse(each) + _default(cls, value)


def _default(cls: type, node: ast.expr | None) -> str:
    """As it stands, but for constants: what they are says more than their names."""
    if node is None:
        return ""
    value = getattr(sys.modules[cls.__module__], ast.unparse(node), None)
    return f" = {value!r}" if isinstance(value, int | float | str) else f" = {ast.unparse(node)}"


def _text_of(node: ast.stmt | None) -> str:
    """The string that stands after an attribute to say what it is."""
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return inspect.cleandoc(text)
    return ""


def main() -> None:
    """The command line: no argument writes, --check compares."""
    text = render()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        sys.exit("docs/api.md differs from the docstrings: run `make docs` and commit the result")


if __name__ == "__main__":
    main()
