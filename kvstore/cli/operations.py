"""put, get and delete of keys as they are: what they do. Loads neither typer nor rich."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from kvstore.cli.exits import ExitCode
from kvstore.cli.printing import say, write, write_json, write_line, write_table
from kvstore.cli.session import Options, Output
from kvstore.cli.text import from_argument
from kvstore.codec.record import Record
from kvstore.codec.text import to_cell, to_json
from kvstore.errors import ConfigurationError, InvalidArgument

# The largest value that any cluster takes: more is not worth reading to be refused.
_INPUT_BYTES_MAX: Final = 16 << 20


def put_key(options: Options, key: str, value: str) -> int:
    """Sets a key, and prints the write's revision."""
    data = value_argument(options, value)
    key_bytes = from_argument(key)
    revision = options.run(lambda client: client.put(key_bytes, data))
    if options.output is Output.JSON:
        write_json({"key": to_json(key_bytes), "revision": revision})
    elif options.output is Output.TABLE:
        write_table(("key", "revision"), [(to_cell(key_bytes), revision)])
    else:
        write_line(str(revision))
    return ExitCode.DONE


def get_key(options: Options, key: str) -> int:
    """Prints a key's value."""
    key_bytes = from_argument(key)
    record = options.run(lambda client: client.get_record(key_bytes))
    return print_record(options, key_bytes, record)


def print_record(
    options: Options,
    key: bytes,
    record: Record | None,
    more: Mapping[str, object] | None = None,
) -> int:
    """Prints what was found under `key`, and in JSON `more`."""
    if record is None:
        return no_such_key(key)
    if options.output is Output.JSON:
        write_json({**record_to_json(key, record), **(more or {})})
    elif options.output is Output.TABLE:
        _write_records({key: record})
    else:
        write(record.value)
        if options.connection is not None or sys.stdout.isatty():
            write(b"\n")
    return ExitCode.DONE


def get_keys(options: Options, keys: Sequence[str]) -> int:
    """Prints the values of several keys; the answer is no where one does not exist."""
    wanted = list(dict.fromkeys(map(from_argument, keys)))
    return print_records(
        options, wanted, options.run(lambda client: client.get_many_records(wanted))
    )


def print_records(options: Options, wanted: Sequence[bytes], found: Mapping[bytes, Record]) -> int:
    """Prints what was found of `wanted`; the answer is no where one is missing."""
    if options.output is Output.JSON:
        for key, record in found.items():
            write_json(record_to_json(key, record))
    elif options.output is Output.TABLE:
        _write_records(found)
    else:
        for key, record in found.items():
            write(b"%b\t%b\n" % (key, record.value))
    for key in wanted:
        if key not in found:
            no_such_key(key)
    return ExitCode.DONE if len(found) == len(wanted) else ExitCode.NO


def _write_records(records: Mapping[bytes, Record]) -> None:
    rows = [
        (to_cell(key), to_cell(each.value), each.version, each.mod_revision)
        for key, each in records.items()
    ]
    write_table(("key", "value", "version", "revision"), rows)


def record_to_json(key: bytes, record: Record) -> dict[str, object]:
    """A key with its record, as one object."""
    return {
        "key": to_json(key),
        "value": to_json(record.value),
        "version": record.version,
        "create_revision": record.create_revision,
        "mod_revision": record.mod_revision,
        "expiry_ms": record.expiry_ms,
    }


def delete_key(options: Options, key: str) -> int:
    """Deletes a key; the answer is no when there was none."""
    key_bytes = from_argument(key)
    deleted = options.run(lambda client: client.delete(key_bytes))
    if options.output is Output.JSON:
        write_json({"key": to_json(key_bytes), "deleted": deleted})
    elif options.output is Output.TABLE:
        write_table(("key", "deleted"), [(to_cell(key_bytes), "yes" if deleted else "no")])
    return ExitCode.DONE if deleted else no_such_key(key_bytes)


def value_argument(options: Options, value: str) -> bytes:
    """The bytes that were typed as a value; - reads standard input."""
    if value != "-":
        return from_argument(value)
    if options.connection is not None:
        raise ConfigurationError(
            "- stands for standard input, from which the shell takes its commands; use the command "
            "outside of the shell"
        )
    data = sys.stdin.buffer.read(_INPUT_BYTES_MAX + 1)
    if len(data) > _INPUT_BYTES_MAX:
        raise InvalidArgument(
            f"standard input has more than {_INPUT_BYTES_MAX} bytes, the largest value there is"
        )
    return data


def no_such_key(key: bytes) -> int:
    """Says so, and gives the exit code."""
    say(f"there is no key {to_cell(key)}")
    return ExitCode.NO
