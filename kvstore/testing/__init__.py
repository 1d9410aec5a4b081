"""For the tests of programs that use kvstore: pytest fixtures (docs/testing-your-code.md)."""
