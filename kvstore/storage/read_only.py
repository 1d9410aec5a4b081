"""An engine to look into while its node does not run, without a trace on the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from tempfile import TemporaryDirectory
from typing import Final

from kvstore.errors import KVStoreError
from kvstore.storage.engine import Engine
from kvstore.storage.rocks_engine import RocksEngine

_LIBRARY_CONFIG: Final = "rocksdict-config.json"
"""Rewritten by the library whenever it opens an engine, however that is done."""


@contextmanager
def open_read_only(path: str) -> Iterator[Engine]:
    """The engine in the folder `path`, as of its last flush; it can only be read.

    Opened by links in a temporary folder, so that whatever is written is written there. Raises what
    RocksEngine raises, and OSError.
    """
    with TemporaryDirectory(prefix="kvstore-") as scratch:
        for name in os.listdir(path):
            source = os.path.join(os.path.abspath(path), name)
            target = os.path.join(scratch, name)
            if name == _LIBRARY_CONFIG:
                shutil.copyfile(source, target)
            else:
                os.symlink(source, target)
        try:
            with closing(RocksEngine(scratch, read_only=True)) as engine:
                yield engine
        except KVStoreError as problem:
            raise type(problem)(str(problem).replace(scratch, path)) from problem
