"""The commit log, as specifications."""
