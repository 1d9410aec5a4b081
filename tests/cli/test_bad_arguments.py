"""What breaks a rule on the command line: one sentence, its exit code, and nothing is done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvstore.codec.cursor import Cursor, encode_cursor
from kvstore.codec.session_token import encode_session_token
from tests.client.background import Background, in_background
from tests.conftest import Command, one_sentence

Case = tuple[tuple[str, ...], str, int]
USAGE, REFUSED = 2, 5

# With all arguments that they need, the key aside.
SINGLE: dict[str, tuple[str, ...]] = {
    "put": ("v",),
    "get": (),
    "delete": (),
    "increment": (),
    "append": ("v",),
    "touch": ("--no-ttl",),
    "locate": (),
    "explain": (),
}
TIMED = ("put", "increment", "append", "touch")
RANGES = ("scan", "count", "delete-range")
LONG = "k" * 4097
LARGE = "v" * ((1 << 20) + 1)
BAD_TTLS = ("0", "-1", "nan", "inf", "1w", "36601d", "")
BAD_TIMEOUTS = ("0", "-1", "nan", "3601")
ELSEWHERE = encode_cursor(Cursor("elsewhere", b"", None, reverse=False, last=b"k"))

CASES: list[Case] = [
    *(
        ((name, "", *rest), "key has 0 bytes; the limit is 1 to 4096", REFUSED)
        for name, rest in SINGLE.items()
    ),
    *(((name, LONG, *rest), "key has 4097 bytes", REFUSED) for name, rest in SINGLE.items()),
    *(
        ((name, *rest), "missing argument 'KEY", USAGE)
        for name, rest in SINGLE.items()
        if name not in ("put", "append")
    ),
    *(
        ((name, "k", *rest, f"--timeout={bad}"), f"timeout is {bad}; it must be above 0", USAGE)
        for name, rest in SINGLE.items()
        for bad in BAD_TIMEOUTS
    ),
    *(
        ((name, "k", *rest, "--timeout", "soon"), "invalid value for '--timeout'", USAGE)
        for name, rest in SINGLE.items()
    ),
    *(
        (
            (name, "k", *(rest if name != "touch" else ()), f"--ttl={bad}"),
            f"ttl is '{bad}'; it must be a time above 0",
            USAGE,
        )
        for name in TIMED
        for rest in (SINGLE[name],)
        for bad in BAD_TTLS
    ),
    *(
        (
            (name, "k", *SINGLE[name], "--if-revision", bad),
            "invalid value for '--if-revision'",
            USAGE,
        )
        for name in ("put", "delete")
        for bad in ("-1", "1.5", "x")
    ),
    *(
        (
            (name, "k", *SINGLE[name], "--if-revision", str(1 << 64)),
            "if_revision is 18446744073709551616",
            REFUSED,
        )
        for name in ("put", "delete")
    ),
    *(
        ((name, "k", *SINGLE[name], "--if-value", LARGE), "if_value has 1048577 bytes", REFUSED)
        for name in ("put", "delete")
    ),
    (("put", "k", LARGE), "value has 1048577 bytes; the limit is 1048576", REFUSED),
    (
        ("put", "k", "v", "--if-absent", "--if-revision", "1"),
        "--if-absent goes with neither",
        USAGE,
    ),
    (("append", "k", LARGE), "suffix has 1048577 bytes", REFUSED),
    *(
        (("increment", "k", option, str(1 << 63)), "is 9223372036854775808; it must be", REFUSED)
        for option in ("--by", "--initial")
    ),
    *(
        (("increment", "k", option, bad), f"invalid value for '{option}'", USAGE)
        for option in ("--by", "--initial")
        for bad in ("0.5", "nan", "x")
    ),
    (("touch", "k"), "a touch needs one of --ttl TIME and --no-ttl", USAGE),
    (("get", "k", ""), "key has 0 bytes", REFUSED),
    # Levels and tokens.
    (("get", "k", "--consistency", "eventual"), "consistency is 'eventual'; it must be", REFUSED),
    (
        ("get", "k", "--consistency", "stale"),
        "--consistency stale needs --max-staleness SECONDS",
        REFUSED,
    ),
    (
        ("get", "k", "--consistency", "session", "--max-staleness", "5"),
        "--max-staleness is for",
        REFUSED,
    ),
    *(
        (
            ("get", "k", "--max-staleness", bad),
            f"max_staleness_s is {float(bad)}; it must be 0 to 86400",
            REFUSED,
        )
        for bad in ("-1", "nan", "86401")
    ),
    (("get", "k", "--token", "nonsense"), "the session token cannot be used", REFUSED),
    (
        ("get", "k", "--token", encode_session_token("elsewhere", {0: 1})),
        "the session token is of cluster elsewhere",
        REFUSED,
    ),
    (
        ("get", "k", "--token", encode_session_token("fake-cluster", {99: 1})),
        "names partition 99; there are 4",
        REFUSED,
    ),
    (("get", "k", "l", "--consistency", "eventual"), "consistency is 'eventual'", REFUSED),
    (("scan", "--consistency", "eventual"), "consistency is 'eventual'; it must be", REFUSED),
    (("scan", "--consistency", "stale"), "needs --max-staleness SECONDS", REFUSED),
    (("scan", "--consistent", "--consistency", "session"), "leave one of the two out", REFUSED),
    (("scan", "--token", "nonsense"), "the session token cannot be used", REFUSED),
    # Ranges.
    *(
        (
            (
                name,
                f"--timeout={bad}",
                "--prefix",
                "k",
                *(("--yes",) if name == "delete-range" else ()),
            ),
            f"timeout is {bad}; it must be above 0",
            USAGE,
        )
        for name in RANGES
        for bad in BAD_TIMEOUTS
    ),
    *(
        (("scan", "--limit", bad), "invalid value for '--limit'", USAGE)
        for bad in ("-1", "1.5", "x")
    ),
    (("scan", "--cursor", "nonsense"), "the cursor cannot be used", REFUSED),
    (
        ("scan", "--cursor", ELSEWHERE),
        "the cursor is of cluster elsewhere, not fake-cluster",
        REFUSED,
    ),
    *(
        (("scan", "--cursor", ELSEWHERE, *more), "give it alone", REFUSED)
        for more in (("--prefix", "k"), ("--start", "k"), ("--end", "k"), ("--reverse",))
    ),
    (("delete-range", "--yes"), "delete-range needs --prefix, --start or --end", USAGE),
]


@pytest.fixture(scope="module")
def background() -> Iterator[Background]:
    with in_background() as background:
        yield background


@pytest.mark.parametrize(
    ("arguments", "words", "code"), CASES, ids=[f"{n}-{each[0][0]}" for n, each in enumerate(CASES)]
)
def test_it_is_refused_in_one_sentence_and_changes_nothing(
    command: Command,
    background: Background,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
    code: int,
) -> None:
    monkeypatch.setenv("KVSTORE_ENDPOINTS", ",".join(background.cluster.endpoints))
    finished = command(*arguments)
    assert words in one_sentence(finished)
    assert (finished.code, finished.out) == (code, b"")
    assert background.cluster.calls == 0
