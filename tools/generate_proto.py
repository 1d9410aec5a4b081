"""Generates kvstore/generated from proto/, or with --check says whether it is up to date."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
TARGET = ROOT / "kvstore" / "generated"
# protoc writes imports relative to proto/; ours live under kvstore.generated.
IMPORT = re.compile(r"^from (kvstore|cluster)\.v1 import", re.MULTILINE)


def generate(target: Path) -> None:
    """Writes the modules and stubs of every .proto file below `target`."""
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    arguments = ["protoc", f"-I{PROTO}", f"--python_out={target}", f"--pyi_out={target}", *sources]
    if protoc.main(arguments) != 0:
        sys.exit("protoc failed")
    for path in sorted([*target.rglob("*_pb2.py"), *target.rglob("*_pb2.pyi")]):
        text = IMPORT.sub(r"from kvstore.generated.\1.v1 import", path.read_text())
        path.write_text(text)
        for folder in path.relative_to(target).parents:
            (target / folder / "__init__.py").touch()


def contents(folder: Path) -> dict[str, str]:
    """Every generated file's text by its name relative to `folder`."""
    return {
        str(p.relative_to(folder)): p.read_text()
        for p in sorted(folder.rglob("*_pb2.py*"))
        if p.suffix != ".pyc"
    }


def main() -> None:
    """The command line: no argument writes, --check compares."""
    if "--check" not in sys.argv[1:]:
        generate(TARGET)
        return
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        if contents(Path(scratch)) != contents(TARGET):
            sys.exit(
                "kvstore/generated differs from proto/: run `make proto` and commit the result"
            )


if __name__ == "__main__":
    main()
