"""SVG and HTML as text, with everything escaped that comes from outside."""

from __future__ import annotations

import html
import re
from typing import Final

_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escaped(text: object) -> str:
    """`text` as it may stand between tags and in attributes; what XML cannot hold is U+FFFD."""
    return html.escape(_NOT_IN_XML.sub("\ufffd", str(text)))


def tag(name: str, *content: str, **attributes: object) -> str:
    """An element. `content` is markup: what comes from outside is `escaped` before.

    Attributes are escaped here. An underscore in their names stands for a hyphen, one at the end
    says nothing, and those that are None are left out; numbers are rounded to a tenth.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            shown = f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value
            parts.append(f'{key.rstrip("_").replace("_", "-")}="{escaped(shown)}"')
    opened = " ".join(parts)
    return f"<{opened}>{''.join(content)}</{name}>" if content else f"<{opened}/>"


def titled(name: str, title: str, *content: str, **attributes: object) -> str:
    """An element that says `title` when it is pointed at."""
    return tag(name, tag("title", escaped(title)), *content, **attributes)
