"""The reference of the Python library is what the docstrings say, and leaves nothing out."""

from __future__ import annotations

import re

import pytest

import kvstore
from tools.generate_api_docs import TARGET, Undocumented, render


def test_the_page_is_up_to_date() -> None:
    assert TARGET.read_text() == render(), "run tools/generate_api_docs.py"


def test_every_public_name_has_its_place() -> None:
    headings = re.findall(r"^### (\w+)", render(), re.MULTILINE)
    assert sorted(headings) == sorted(kvstore.__all__)


def test_methods_stand_with_their_signature_and_their_words() -> None:
    page = render()
    assert "#### AsyncClient.put\n\n```python\nawait put(\n    key: bytes | str," in page
    assert "return_previous: bool = False,\n" in page
    assert "#### AsyncClient.scan\n" in page
    assert "async for … in backup(" in page
    assert "- `token`: Of the later holder." in page
    assert "ttl: Ttl = 10.0" in page


def test_what_has_no_docstring_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvstore.Put, "__doc__", None)
    with pytest.raises(Undocumented, match="Put has no docstring"):
        render()


def test_a_new_name_has_to_be_given_a_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvstore, "__all__", [*kvstore.__all__, "Novelty"])
    with pytest.raises(Undocumented, match="Novelty"):
        render()
