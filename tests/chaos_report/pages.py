"""A report as a reader sees it: texts, tables and drawings, without golden bytes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

_VOID = {"meta"}


@dataclass
class Page:
    """What stands in a page."""

    source: str
    text_of: dict[str, str] = field(default_factory=dict)
    """The text of each element that has an id."""
    rows_of: dict[str, list[list[str]]] = field(default_factory=dict)
    """The table rows of each section, by the section's id."""
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    """(tag, name, value) of all."""
    headings: list[str] = field(default_factory=list)

    @property
    def chart(self) -> ET.Element:
        """The run over time."""
        (found,) = re.findall(r'<svg class="chart".*?</svg>', self.source, re.DOTALL)
        return ET.fromstring(found)

    @property
    def timelines(self) -> list[ET.Element]:
        """The counterexamples."""
        drawings = re.findall(r"<svg xmlns.*?</svg>", self.source, re.DOTALL)
        return [ET.fromstring(drawing) for drawing in drawings]


class _Reader(HTMLParser):
    """Fails where tags do not fit."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self.open: list[tuple[str, str | None]] = []
        self.section = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag in _VOID:
            return
        name = dict(attrs).get("id")
        self.open.append((tag, name))
        if tag == "section":
            self.section = name or ""
        if name:
            self.page.text_of.setdefault(name, "")
        if tag == "tr":
            self.page.rows_of.setdefault(self.section, []).append([])
        if tag in ("td", "th"):
            self.page.rows_of[self.section][-1].append("")
        if tag in ("h1", "h2"):
            self.page.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        opened, _name = self.open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _name in self.open]
        for _tag, name in self.open:
            if name:
                self.page.text_of[name] += data
        if "td" in tags or "th" in tags:
            self.page.rows_of[self.section][-1][-1] += data
        if tags and tags[-1] in ("h1", "h2"):
            self.page.headings[-1] += data


def read_page(directory: Path) -> Page:
    """The report in `directory`; fails where it is not well-formed."""
    page = Page((directory / "report.html").read_text(encoding="utf-8"))
    reader = _Reader(page)
    reader.feed(page.source)
    reader.close()
    assert reader.open == []
    return page
