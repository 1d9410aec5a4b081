"""Writes with conditions, sums, appends and lifetimes: what the commands do. Loads no typer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvstore.cli.exits import ExitCode
from kvstore.cli.operations import no_such_key, record_to_json, value_argument
from kvstore.cli.printing import write, write_json, write_line, write_table
from kvstore.cli.receipts import Receipts
from kvstore.cli.session import Options, Output
from kvstore.cli.text import duration_s, from_argument
from kvstore.codec.text import to_cell, to_json
from kvstore.errors import ConfigurationError

if TYPE_CHECKING:
    from kvstore.client import DeleteResult, PutResult
    from kvstore.codec.record import Record


@dataclass(frozen=True, slots=True)
class Conditions:
    """What has to hold for a write, as typed."""

    if_absent: bool = False
    if_revision: int | None = None
    if_value: str | None = None

    @property
    def value(self) -> bytes | None:
        """The bytes of `if_value`."""
        return None if self.if_value is None else from_argument(self.if_value)


def ttl_argument(ttl: str | None) -> float | None:
    """A lifetime in seconds, where one was typed."""
    return None if ttl is None else duration_s("ttl", ttl)


def put_if(
    options: Options,
    key: str,
    value: str,
    *,
    ttl: str | None,
    conditions: Conditions,
    previous: bool,
    receipt: bool,
) -> int:
    """Sets a key, and prints the write's revision, or with `previous` the value before."""
    if conditions.if_absent and (conditions.if_revision, conditions.if_value) != (None, None):
        raise ConfigurationError("--if-absent goes with neither --if-revision nor --if-value")
    key_bytes, lifetime = from_argument(key), ttl_argument(ttl)
    data = value_argument(options, value)
    receipts = Receipts(receipt)
    result: int | PutResult = receipts.run(
        options,
        lambda client: client.put(
            key_bytes,
            data,
            ttl=lifetime,
            if_absent=conditions.if_absent,
            if_revision=conditions.if_revision,
            if_value=conditions.value,
            return_previous=previous,
            receipts=receipts.taken,
        ),
    )
    revision, before = (
        (result, None) if isinstance(result, int) else (result.revision, result.previous)
    )
    said = {"revision": revision, **receipts.as_json()}
    _print_write(options, key_bytes, said, before, previous)
    if not previous and options.output not in (Output.JSON, Output.TABLE):
        write_line(str(revision))
    return ExitCode.DONE


def delete_if(
    options: Options, key: str, conditions: Conditions, previous: bool, receipt: bool
) -> int:
    """Deletes a key, and prints with `previous` its value; the answer is no when there was none."""
    key_bytes = from_argument(key)
    receipts = Receipts(receipt)
    result: bool | DeleteResult = receipts.run(
        options,
        lambda client: client.delete(
            key_bytes,
            if_revision=conditions.if_revision,
            if_value=conditions.value,
            return_previous=previous,
            receipts=receipts.taken,
        ),
    )
    deleted, before = (
        (result, None) if isinstance(result, bool) else (result.deleted, result.previous)
    )
    said = {"deleted": deleted, **receipts.as_json()}
    _print_write(options, key_bytes, said, before, previous)
    return ExitCode.DONE if deleted else no_such_key(key_bytes)


def _print_write(
    options: Options, key: bytes, said: dict[str, object], before: Record | None, wanted: bool
) -> None:
    if options.output is Output.JSON:
        record = None if before is None else record_to_json(key, before)
        write_json({"key": to_json(key), **said, **({"previous": record} if wanted else {})})
    elif options.output is Output.TABLE:
        cells: dict[str, object] = {"key": to_cell(key), **said}
        cells.pop("receipt", None)
        if wanted:
            cells["previous"] = "" if before is None else to_cell(before.value)
        write_table(tuple(cells), [tuple(cells.values())])
    elif wanted and before is not None:
        write(before.value)
        if options.connection is not None:
            write(b"\n")


def increment_key(
    options: Options, key: str, by: int, *, initial: int, ttl: str | None, receipt: bool
) -> int:
    """Adds to a number, and prints the sum."""
    key_bytes, lifetime = from_argument(key), ttl_argument(ttl)
    receipts = Receipts(receipt)
    number = receipts.run(
        options,
        lambda client: client.increment(
            key_bytes, by, initial=initial, ttl=lifetime, receipts=receipts.taken
        ),
    )
    return _print_number(options, key_bytes, "number", number, receipts)


def append_key(options: Options, key: str, suffix: str, ttl: str | None, receipt: bool) -> int:
    """Adds to a value, and prints its length."""
    key_bytes, lifetime = from_argument(key), ttl_argument(ttl)
    data = value_argument(options, suffix)
    receipts = Receipts(receipt)
    length = receipts.run(
        options,
        lambda client: client.append(key_bytes, data, ttl=lifetime, receipts=receipts.taken),
    )
    return _print_number(options, key_bytes, "length", length, receipts)


def touch_key(options: Options, key: str, ttl: str | None, no_ttl: bool, receipt: bool) -> int:
    """Gives a key a new lifetime; the answer is no when there is no such key."""
    if no_ttl is (ttl is not None):
        raise ConfigurationError("a touch needs one of --ttl TIME and --no-ttl")
    key_bytes, lifetime = from_argument(key), ttl_argument(ttl)
    receipts = Receipts(receipt)
    touched = receipts.run(
        options, lambda client: client.touch(key_bytes, lifetime, receipts=receipts.taken)
    )
    if options.output is Output.JSON:
        write_json({"key": to_json(key_bytes), "touched": touched, **receipts.as_json()})
    elif options.output is Output.TABLE:
        write_table(("key", "touched"), [(to_cell(key_bytes), "yes" if touched else "no")])
    return ExitCode.DONE if touched else no_such_key(key_bytes)


def _print_number(options: Options, key: bytes, name: str, number: int, receipts: Receipts) -> int:
    if options.output is Output.JSON:
        write_json({"key": to_json(key), name: number, **receipts.as_json()})
    elif options.output is Output.TABLE:
        write_table(("key", name), [(to_cell(key), number)])
    else:
        write_line(str(number))
    return ExitCode.DONE
