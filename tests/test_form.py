"""Which form is installed shows by where its modules come from."""

from __future__ import annotations

from importlib.machinery import ModuleSpec

import pytest

from kvstore import form


def test_what_is_edited_is_never_compiled() -> None:
    assert form.installed_form() == form.INTERPRETED


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("/site-packages/cluster/errors.py", form.INTERPRETED),
        ("/site-packages/cluster/errors.cpython-311-x86_64-linux-gnu.so", form.COMPILED),
    ],
)
def test_a_library_in_the_place_of_a_source_is_compiled(
    origin: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModuleSpec("cluster.errors", None, origin=origin)
    monkeypatch.setattr(form, "find_spec", {"cluster.errors": spec}.__getitem__)
    assert form.installed_form() == expected
