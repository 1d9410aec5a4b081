"""kvstore chaos by its parts; runs on real clusters are in tests/process and tests/chaos."""
