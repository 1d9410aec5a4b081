"""Long tests of real processes under faults: `make chaos`, not part of `make test`."""
