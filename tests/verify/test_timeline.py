"""Counterexamples as drawings: well-formed, with every operation in its place."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import pytest

from kvstore.verify.operation import Ending, Kind, Operation
from kvstore.verify.svg import escaped, tag
from kvstore.verify.timeline import OPERATIONS_MAX, timeline_svg

SVG = "{http://www.w3.org/2000/svg}"
MS = 1_000_000


def put(client: int, begin: int, end: int | None, value: bytes = b"1") -> Operation:
    ending = Ending.UNKNOWN if end is None else Ending.OK
    end_ns = None if end is None else end * MS
    return Operation(client, Kind.PUT, b"k", begin * MS, ending, end_ns, input=value)


def get(client: int, begin: int, end: int, value: bytes | None = b"1") -> Operation:
    return Operation(client, Kind.GET, b"k", begin * MS, Ending.OK, end * MS, output=value)


def drawn(*operations: Operation, until_ns: int | None = None) -> list[ET.Element]:
    """The groups of the operations' bars, by row and then by time."""
    root = ET.fromstring(timeline_svg(operations, "what <happened>", until_ns=until_ns))
    return [each for each in root.iter(f"{SVG}g") if each.get("class") == "kv-operation"]


def bar(group: ET.Element) -> tuple[float, float, float]:
    """(begin, end, y)."""
    (rect,) = group.findall(f"{SVG}rect")
    x, width = float(rect.get("x", "")), float(rect.get("width", ""))
    return x, x + width, float(rect.get("y", ""))


def words(group: ET.Element) -> str:
    return "".join(group.itertext())


def test_each_client_has_a_row_and_each_operation_a_bar() -> None:
    first, read, second = drawn(put(1, 0, 2), put(2, 1, 3, b"2"), get(1, 4, 5))
    assert bar(first)[2] == bar(read)[2] < bar(second)[2]
    assert 'put "1" → ok' in words(first)
    assert 'get → "1"' in words(read)


def test_bars_stand_in_the_order_of_time() -> None:
    first, read, second = drawn(put(1, 0, 2), put(2, 1, 3, b"2"), get(1, 4, 500_000))
    assert bar(first)[0] < bar(second)[0] < bar(first)[1] < bar(second)[1] < bar(read)[0]


def test_moments_far_apart_and_close_together_can_both_be_told() -> None:
    close = replace(put(1, 0, 1), invoked_ns=0, returned_ns=1)
    far = get(1, 3_600_000, 3_600_001)
    bars = [bar(group) for group in drawn(close, far)]
    assert all(end - begin >= 20 for begin, end, _y in bars)
    assert bars[1][1] < 1200


def test_what_was_never_answered_is_open_and_fades() -> None:
    read, lost = drawn(put(2, 0, None), get(1, 1, 2))
    (rect,) = lost.findall(f"{SVG}rect")
    assert "url(#timeline-write)" in (rect.get("style") or "")
    assert bar(lost)[1] > bar(read)[1]
    assert "→ ?" in words(lost)
    assert "never answered" in words(lost)


def test_what_was_answered_later_counts_as_unknown_and_the_wrong_answer_is_marked() -> None:
    late, wrong = drawn(put(1, 0, 9), get(2, 1, 5), until_ns=5 * MS)
    assert "→ ?" in words(late)
    assert "kv-wrong" in ET.tostring(wrong).decode()
    assert "kv-wrong" not in ET.tostring(late).decode()


def test_labels_in_a_row_do_not_overlap() -> None:
    puts = [put(1, 2 * at, 2 * at + 1, b"a value that is long %d" % at) for at in range(10)]
    groups = drawn(*puts)
    for group, following in pairwise(groups):
        (label,) = group.findall(f"{SVG}text")
        assert bar(group)[0] + 6.0 * len(label.text or "") < bar(following)[0]


def test_a_client_that_does_two_things_at_once_has_two_rows() -> None:
    first, second = drawn(put(1, 0, 5), put(1, 1, 3))
    assert bar(first)[2] != bar(second)[2]


def test_what_comes_from_outside_is_escaped() -> None:
    nasty = b'</text><script>alert("1")</script>\x00\xff\xef\xbf\xbf&'
    svg = timeline_svg([put(1, 0, 1, nasty)], "<b>&", until_ns=None)
    assert "<script" not in svg
    root = ET.fromstring(svg)
    assert "<script>alert" in "".join(root.itertext())
    assert root.get("aria-label") == "<b>&"


def test_it_is_bounded() -> None:
    operations = [put(at % 7, at, at + 1, b"x" * 10_000) for at in range(1000)]
    svg = timeline_svg(operations, "many")
    assert svg.count('class="kv-operation"') == OPERATIONS_MAX
    assert f"{1000 - OPERATIONS_MAX} more are not drawn" in svg
    assert len(svg) < 100_000


def test_nothing_can_be_drawn_too() -> None:
    assert drawn() == []


def test_it_is_readable_in_light_and_in_dark() -> None:
    svg = timeline_svg([put(1, 0, 1)], "t")
    assert "prefers-color-scheme:dark" in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


def test_several_drawings_on_one_page_do_not_share_names() -> None:
    one, other = (timeline_svg([put(1, 0, None)], "t", name=name) for name in ("a", "b"))
    assert 'id="a-write"' in one
    assert "a-write" not in other


@pytest.mark.parametrize(
    ("text", "safe"), [("<&>\"'", "&lt;&amp;&gt;&quot;&#x27;"), ("\x00\ud800", "\ufffd\ufffd")]
)
def test_text_becomes_markup(text: str, safe: str) -> None:
    assert escaped(text) == safe
    assert tag("t", a_b_=text, none=None, half=1.04) == f'<t a-b="{safe}" half="1"/>'
