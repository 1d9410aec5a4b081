"""The fixtures that users get, as their tests see them: pytest runs in processes of its own."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = "kvstore.testing.plugin"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
Run = Callable[..., pytest.RunResult]
ONE_NODE = """
    import pytest

    @pytest.fixture(scope="session")
    def kvstore_cluster_options():
        return {"nodes": 1, "partitions": 2}
"""

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs pytest with the plugins named and no others, whatever is installed here."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("KVSTORE_ENDPOINTS", "nowhere")
    asyncio_option = ("-o", "asyncio_default_fixture_loop_scope=function")

    def run(*plugins: str) -> pytest.RunResult:
        named = [word for plugin in (PLUGIN, *plugins) for word in ("-p", plugin)]
        options = asyncio_option if plugins else ()
        return pytester.runpytest_subprocess(*named, *options, "-W", "error")

    return run


def test_installing_kvstore_registers_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"kvstore": PLUGIN}
    assert hasattr(import_module(PLUGIN), "kvstore_cluster")


def test_tests_that_use_no_fixture_load_nothing_of_kvstore(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile(
        """
        import json, pathlib, sys

        def test_modules():
            pathlib.Path("modules.json").write_text(json.dumps(sorted(sys.modules)))
        """
    )
    run("pytest_asyncio.plugin").assert_outcomes(passed=1)
    loaded = json.loads((pytester.path / "modules.json").read_text())
    assert {name for name in loaded if name.split(".")[0] in ("kvstore", "cluster")} == {
        *("kvstore", "kvstore.testing", PLUGIN, "kvstore.testing.asyncio_fixtures")
    }
    assert not {"grpc", "rocksdict", "uvloop", "pydantic"} & set(loaded)


def test_without_pytest_asyncio_the_fixture_for_it_says_so(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makepyfile("def test_it(kvstore_async_client): pass")
    finished = run()
    finished.assert_outcomes(errors=1)
    finished.stdout.fnmatch_lines(["kvstore_async_client needs pytest-asyncio, which is not*"])


@pytest.mark.process
def test_the_examples_of_the_page_pass(pytester: pytest.Pytester, run: Run) -> None:
    example, conftest = _BLOCK.findall((ROOT / "docs" / "testing-your-code.md").read_text())
    pytester.makepyfile(example)
    run("pytest_asyncio.plugin").assert_outcomes(passed=3)
    pytester.makeconftest(conftest)
    pytester.makepyfile(
        """
        def test_shape(kvstore_cluster, kvstore_client):
            assert kvstore_cluster.node_ids == ("n1",)
            assert len(kvstore_client.cluster_map().partitions) == 16
            kvstore_client.put("large", bytes(4 << 20))
        """
    )
    run().assert_outcomes(passed=1)


@pytest.mark.process
def test_each_test_begins_with_what_its_own_fixtures_put(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makeconftest(ONE_NODE)
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def seeded(kvstore_client):
            kvstore_client.put_many({f"seed/{n}": "1" for n in range(600)})

        def test_first(seeded, kvstore_client):
            assert kvstore_client.count() == 600
            kvstore_client.put(b"\\xff\\xff", "the last key that there is")

        def test_second(kvstore_client):
            assert kvstore_client.count() == 0
            kvstore_client.put("left", "1")

        @pytest.mark.asyncio
        async def test_third(kvstore_async_client):
            assert await kvstore_async_client.count() == 0

        @pytest.mark.asyncio
        async def test_fourth(seeded, kvstore_async_client):
            assert await kvstore_async_client.count() == 600

        def test_fifth(kvstore_cluster, kvstore_client):
            kvstore_client.put("left", "1")
            kvstore_cluster.kill("n1")

        def test_sixth(kvstore_client):
            assert kvstore_client.count() == 0

        def test_seventh(kvstore_cluster, kvstore_client):
            kvstore_cluster.pause("n1")

        def test_eighth(kvstore_cluster, kvstore_client):
            assert [each.state.name for each in kvstore_cluster.status()] == ["RUNNING"]
        """
    )
    run("pytest_asyncio.plugin").assert_outcomes(passed=8)


@pytest.mark.process
def test_nothing_of_the_cluster_stays_behind(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    pytester.makeconftest(ONE_NODE)
    pytester.makepyfile(
        """
        import os, pathlib

        def test_it(kvstore_cluster):
            (report,) = kvstore_cluster.status()
            pathlib.Path("node.txt").write_text(f"{report.pid} {kvstore_cluster.data_dir}")
            assert False, "a failure cleans up, too"
        """
    )
    run().assert_outcomes(failed=1)
    pid, folder = (pytester.path / "node.txt").read_text().split()
    assert Path(folder).parent == tmp_path
    assert not Path(folder).exists()
    assert not Path(f"/proc/{pid}").exists()
