"""What docs/examples.md shows is run: every Python block, on a model and on a real cluster."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from kvstore import AsyncClient, LocalCluster
from tests.client.background import in_background

PAGE = Path(__file__).parents[2] / "docs" / "examples.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TIMEOUT_S = 60.0


def _examples() -> list[Any]:
    """Each block with the heading that it stands under."""
    title, examples = "", []
    for part in re.split(r"^## (.*)$", PAGE.read_text(), flags=re.MULTILINE):
        blocks = _BLOCK.findall(part)
        if not blocks:
            title = part
        for number, block in enumerate(blocks):
            examples.append(pytest.param(block, id=f"{title} {number + 1}"))
    return examples


EXAMPLES = _examples()


def _compiled(block: str) -> CodeType:
    code = compile(block, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(code, CodeType)
    return code


async def _run(block: str, endpoints: str) -> None:
    async with asyncio.timeout(_TIMEOUT_S), AsyncClient(endpoints, timeout_s=20) as kv:
        names: dict[str, Any] = {"kv": kv, "endpoints": endpoints}
        code = _compiled(block)
        if code.co_flags & inspect.CO_COROUTINE:
            await eval(code, names)
        else:
            await asyncio.to_thread(exec, code, names)


def test_there_are_examples_of_everything() -> None:
    text = PAGE.read_text()
    assert len(EXAMPLES) >= 11
    for name in ("put", "delete", "increment", "append", "touch", "transaction", "lock"):
        assert re.search(rf"kv\.{name}\(", text), name
    for name in ("get_many", "put_many", "get_record", "if_absent", "if_revision", "if_value"):
        assert name in text


@pytest.mark.parametrize("block", EXAMPLES)
def test_it_does_what_it_says_on_the_model(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    with in_background() as background:
        _in_loop(lambda: _run(block, ",".join(background.cluster.endpoints)))
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.process
@pytest.mark.parametrize("block", EXAMPLES)
def test_it_does_what_it_says_on_a_real_cluster(cluster: LocalCluster, block: str) -> None:
    _in_loop(lambda: _run(block, cluster.endpoints))


def _in_loop(work: Callable[[], Any]) -> None:
    async def run() -> None:
        # Loops of one process share gRPC's wake-up socket: one may find it emptied by another.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        await work()

    asyncio.run(run())
