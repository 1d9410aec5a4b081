"""One client process of several; see `kvstore.bench.processes`."""

from __future__ import annotations

from kvstore.bench.processes import be_process

if __name__ == "__main__":
    be_process()
