"""The commit log: segments of records that all groups of a node share. Knows nothing of Raft.

Reading order: options, log_format (bytes), log_writer, log_reader (recovery), commit_log. The
format is described in docs/format-commit-log.md.
"""
