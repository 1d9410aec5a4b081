"""Every operation with every kind of argument that breaks a rule, and the words of the error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from kvstore import Compare, Fence, Get, Put
from kvstore.codec.cursor import Cursor, encode_cursor
from kvstore.codec.session_token import encode_session_token

Case = tuple[str, tuple[Any, ...], dict[str, Any], str]

K: Final = "{t}key"
TOO_LARGE: Final = bytes((1 << 20) + 1)
HUGE: Final = 10**5000

# With all arguments that they must have, the key aside.
SINGLE: Final[dict[str, tuple[Any, ...]]] = {
    "put": ("v",),
    "get": (),
    "get_record": (),
    "delete": (),
    "increment": (),
    "append": ("v",),
    "touch": (5,),
}
BAD_KEYS: Final = (
    ("", "key has 0 bytes; the limit is 1 to 4096"),
    (b"", "key has 0 bytes; the limit is 1 to 4096"),
    ("k" * 4097, "key has 4097 bytes; the limit is 1 to 4096"),
    (5, "key must be bytes or str, not int"),
    (None, "key must be bytes or str, not NoneType"),
    (bytearray(b"k"), "key must be bytes or str, not bytearray"),
    ("\ud800", "cannot be encoded as UTF-8"),
)
BAD_TTLS: Final = (
    (0, "ttl is 0; it must be above 0 and at most 3162240000 s"),
    (-1, "ttl is -1"),
    (float("nan"), "ttl is nan"),
    (float("inf"), "ttl is inf"),
    (3162240001, "ttl is 3162240001"),
    (HUGE, "ttl is a number of 16610 bits"),
    ("5", "ttl must be seconds or a timedelta, not str"),
    (True, "ttl must be seconds or a timedelta, not bool"),
)
BAD_REVISIONS: Final = (
    (-1, "if_revision is -1; it must be 0 to 18446744073709551615"),
    (1 << 64, "if_revision is 18446744073709551616"),
    (1.0, "if_revision must be an int, not float"),
    (True, "if_revision must be an int, not bool"),
)
BAD_VALUES: Final = (
    (5, "if_value must be bytes or str, not int"),
    (TOO_LARGE, "if_value has 1048577 bytes; the limit is 0 to 1048576"),
)
BAD_FENCES: Final = (
    (("lock", 1), "fence must be a Fence, not tuple"),
    (Fence(b"", 1), "fence's lock has 0 bytes; the limit is 1 to 4096"),
    (Fence(bytes(4097), 1), "fence's lock has 4097 bytes"),
    (Fence(5, 1), "fence's lock must be bytes or str, not int"),  # type: ignore[arg-type]
    (Fence(b"lock", 0), "fence's token is 0; it must be 1 to 9223372036854775807"),
    (Fence(b"lock", 1 << 63), "fence's token is 9223372036854775808"),
    (Fence(b"lock", "1"), "fence's token must be an int, not str"),  # type: ignore[arg-type]
)
BAD_TIMEOUTS: Final = (
    (0, "timeout_s is 0; it must be above 0 and at most 3600"),
    (float("nan"), "timeout_s is nan"),
    ("1", "timeout_s must be a number, not str"),
)
BAD_NUMBERS: Final = (
    (1 << 63, "is 9223372036854775808; it must be -9223372036854775808 to 9223372036854775807"),
    (-(1 << 63) - 1, "is -9223372036854775809"),
    (HUGE, "is a number of 16610 bits"),
    (0.5, "must be an int, not float"),
    (float("nan"), "must be an int, not float"),
    (True, "must be an int, not bool"),
    ("1", "must be an int, not str"),
)
BAD_FLAGS: Final = ((1, "must be True or False, not int"), (None, "must be True or False, not"))


BAD_LEVELS: Final = (
    ("stale", "consistency is 'stale'; say how old: Stale(max_staleness_s=…)"),
    ("eventual", "consistency is 'eventual'; it must be 'linearizable', 'session', Stale(…)"),
    (None, "consistency is None"),
    (5, "consistency is 5"),
)
BAD_RECEIPTS: Final = (((), "receipts must be a list, which is added to, or None, not tuple"),)
BAD_CURSORS: Final = (
    (5, "cursor must be a str, not int"),
    ("", "the cursor cannot be used: it is damaged, or no cursor at all"),
    ("nonsense", "the cursor cannot be used"),
    (
        encode_cursor(Cursor("elsewhere", b"", None, reverse=False, last=b"k")),
        "the cursor is of cluster elsewhere, not fake-cluster",
    ),
)
BAD_RANGES: Final = tuple(
    (name, bad, words)
    for name in ("prefix", "start", "end")
    for bad, words in (
        (5, f"{name} must be bytes or str, not int"),
        ("\ud800", "cannot be encoded as UTF-8"),
    )
)
BAD_LIMITS: Final = (
    (-1, "limit is -1; it must be 0 or more"),
    (1.5, "limit must be an int or None, not float"),
    (True, "limit must be an int or None, not bool"),
)
BAD_INDEXES: Final = (
    (-1, "min_index is -1; it must be 0 to 18446744073709551615"),
    (1 << 64, "min_index is 18446744073709551616"),
    ("1", "min_index is '1'"),
)
BAD_TOKENS: Final = (
    (5, "token must be a str, not int"),
    ("nonsense", "the session token cannot be used"),
    (encode_session_token("elsewhere", {0: 1}), "the session token is of cluster elsewhere"),
    (encode_session_token("fake-cluster", {99: 1}), "the session token names partition 99"),
)
SCANS: Final = ("scan", "scan_keys", "scan_records")


def _named(names: Iterable[str], option: str, table: tuple[tuple[Any, str], ...]) -> list[Case]:
    """One case for each of these operations, which need nothing else, and each bad `option`."""
    return [(name, (), {option: bad}, words) for name in names for bad, words in table]


def _with(names: str, option: str, table: tuple[tuple[Any, str], ...]) -> list[Case]:
    """One case for each of the operations `names` and each bad `option`."""
    return [
        (name, (K, *SINGLE[name]), {option: bad}, words)
        for name in names.split()
        for bad, words in table
    ]


CASES: Final[list[Case]] = [
    *((name, (key, *rest), {}, words) for name, rest in SINGLE.items() for key, words in BAD_KEYS),
    *_with(" ".join(SINGLE), "timeout_s", BAD_TIMEOUTS),
    *_with("put increment append", "ttl", BAD_TTLS),
    *(("touch", (K, ttl), {}, words) for ttl, words in BAD_TTLS),
    *_with("put delete touch", "if_revision", BAD_REVISIONS),
    *_with("put delete touch", "if_value", BAD_VALUES),
    *_with("put delete increment append touch", "fence", BAD_FENCES),
    *_with("put delete", "return_previous", BAD_FLAGS),
    *_with("put", "if_absent", BAD_FLAGS),
    *(("increment", (K, number), {}, f"by {words}") for number, words in BAD_NUMBERS),
    *_with("increment", "initial", BAD_NUMBERS),
    ("put", (K, None), {}, "value must be bytes or str, not NoneType"),
    ("put", (K, TOO_LARGE), {}, "value has 1048577 bytes; the limit is 1048576"),
    ("put", (K, TOO_LARGE), {"ttl": 5}, "value has 1048577 bytes; the limit is 1048576"),
    ("put", (K, "v"), {"if_absent": True, "if_revision": 1}, "if_absent goes with neither"),
    ("put", (K, "v"), {"if_absent": True, "if_value": "x"}, "if_absent goes with neither"),
    ("append", (K, TOO_LARGE), {}, "suffix has 1048577 bytes; the limit is 0 to 1048576"),
    ("append", (K, 5), {}, "suffix must be bytes or str, not int"),
    *(("get_many", ([K, key],), {}, words) for key, words in BAD_KEYS),
    *(("get_many_records", ([K, key],), {}, words) for key, words in BAD_KEYS),
    ("get_many", (K,), {}, "keys must be several, in a list or the like, not str"),
    ("get_many", (5,), {}, "keys must be several, in a list or the like, not int"),
    *(
        ("put_many", ({K: "v", key: "v"},), {}, words)
        for key, words in BAD_KEYS
        if not isinstance(key, bytearray)
    ),
    *(("put_many", ({K: "v"},), {"ttl": ttl}, words) for ttl, words in BAD_TTLS),
    ("put_many", ([(K, "v")],), {}, "items must be a mapping, not list"),
    ("put_many", ({K: "v", "k": TOO_LARGE},), {}, "value has 1048577 bytes"),
    *(("transaction", ([], [Get(key)]), {}, words) for key, words in BAD_KEYS),  # type: ignore[arg-type]
    *(("transaction", ([], [Put(K, "v", ttl)]), {}, words) for ttl, words in BAD_TTLS),  # type: ignore[arg-type]
    *(("transaction", ([], [Get(K)]), {"fence": fence}, words) for fence, words in BAD_FENCES),
    *(("transaction", ([], [Get(K)]), {"timeout_s": bad}, words) for bad, words in BAD_TIMEOUTS),
    ("transaction", ([], [Get(K)] * 1025), {}, "then has 1025 parts; the limit is 1024"),
    ("transaction", ([Compare.value(K, "=~", "v")],), {}, "relation is '=~'"),  # type: ignore[arg-type]
    ("transaction", ([Compare.version(K, "==", HUGE)],), {}, "version is a number of 16610 bits"),
    ("transaction", ([], [Get("one"), Get("other")]), {}, "are in different partitions"),
    ("transaction", (), {}, "names no key"),
    *_with("put delete increment append touch", "receipts", BAD_RECEIPTS),
    ("put_many", ({K: "v"},), {"receipts": ()}, BAD_RECEIPTS[0][1]),
    ("transaction", ([], [Get(K)]), {"receipts": ()}, BAD_RECEIPTS[0][1]),
    # Reads at a level, and what a session has seen.
    *_with("get get_record", "consistency", BAD_LEVELS),
    *(("read", (key,), {}, words) for key, words in BAD_KEYS),
    *(("read", (K,), {"consistency": bad}, words) for bad, words in BAD_LEVELS),
    *(("read", (K,), {"timeout_s": bad}, words) for bad, words in BAD_TIMEOUTS),
    *(
        ("read", (K,), {"consistency": "session", "min_index": bad}, words)
        for bad, words in BAD_INDEXES
    ),
    ("read", (K,), {"min_index": 1}, "min_index is 1; it is for session reads only"),
    *(
        (name, ([K],), {option: bad}, words)
        for name in ("get_many", "get_many_records")
        for option, table in (
            ("consistency", BAD_LEVELS),
            ("receipts", BAD_RECEIPTS),
            ("timeout_s", BAD_TIMEOUTS),
        )
        for bad, words in table
    ),
    *(("merge_token", (bad,), {}, words) for bad, words in BAD_TOKENS),
    # Ranges.
    *((name, (), {part: bad}, w) for name in (*SCANS, "count") for part, bad, w in BAD_RANGES),
    *(("delete_range", (), {part: bad}, words) for part, bad, words in BAD_RANGES),
    ("delete_range", (), {}, "delete_range needs prefix, start or end"),
    *(("delete_range", (), {"prefix": K, "timeout_s": bad}, words) for bad, words in BAD_TIMEOUTS),
    *_named((*SCANS, "count"), "timeout_s", BAD_TIMEOUTS),
    *_named((*SCANS, "count"), "receipts", BAD_RECEIPTS),
    *_named(SCANS, "limit", BAD_LIMITS),
    *_named(SCANS, "reverse", BAD_FLAGS),
    *_named(SCANS, "consistent", BAD_FLAGS),
    *_named(SCANS, "consistency", BAD_LEVELS),
    *_named(SCANS, "cursor", BAD_CURSORS),
    *((n, (), {"consistent": True, "consistency": "session"}, "leave one of the") for n in SCANS),
    *((n, (), {"cursor": BAD_CURSORS[3][0], "prefix": K}, "give it alone") for n in SCANS),
    *(("unpin", (bad,), {}, words) for bad, words in BAD_CURSORS[:3]),
    ("unpin", (BAD_CURSORS[3][0],), {}, "the cursor is of no consistent scan that was pinned"),
    *(("locate", (key,), {}, words) for key, words in BAD_KEYS),
]
