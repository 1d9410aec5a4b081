"""put, get and delete: what they do. Loads neither typer nor rich."""

from __future__ import annotations

import sys
from typing import Final

from kvstore.cli.exits import ExitCode
from kvstore.cli.printing import say, write, write_json, write_line, write_table
from kvstore.cli.session import Options, Output
from kvstore.cli.text import from_argument
from kvstore.codec.text import to_cell, to_json
from kvstore.errors import InvalidArgument

# The largest value that any cluster takes: more is not worth reading to be refused.
_INPUT_BYTES_MAX: Final = 16 << 20


def put_key(options: Options, key: str, value: str) -> int:
    """Sets a key, and prints the write's revision."""
    data = _standard_input() if value == "-" else from_argument(value)
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
    if record is None:
        return _no_such_key(key_bytes)
    if options.output is Output.JSON:
        write_json(
            {
                "key": to_json(key_bytes),
                "value": to_json(record.value),
                "version": record.version,
                "create_revision": record.create_revision,
                "mod_revision": record.mod_revision,
            }
        )
    elif options.output is Output.TABLE:
        row = (to_cell(key_bytes), to_cell(record.value), record.version, record.mod_revision)
        write_table(("key", "value", "version", "revision"), [row])
    else:
        write(record.value)
        if sys.stdout.isatty():
            write(b"\n")
    return ExitCode.DONE


def delete_key(options: Options, key: str) -> int:
    """Deletes a key; the answer is no when there was none."""
    key_bytes = from_argument(key)
    deleted = options.run(lambda client: client.delete(key_bytes))
    if options.output is Output.JSON:
        write_json({"key": to_json(key_bytes), "deleted": deleted})
    elif options.output is Output.TABLE:
        write_table(("key", "deleted"), [(to_cell(key_bytes), "yes" if deleted else "no")])
    return ExitCode.DONE if deleted else _no_such_key(key_bytes)


def _standard_input() -> bytes:
    data = sys.stdin.buffer.read(_INPUT_BYTES_MAX + 1)
    if len(data) > _INPUT_BYTES_MAX:
        raise InvalidArgument(
            f"standard input has more than {_INPUT_BYTES_MAX} bytes, the largest value there is"
        )
    return data


def _no_such_key(key: bytes) -> int:
    say(f"there is no key {to_cell(key)}")
    return ExitCode.NO
