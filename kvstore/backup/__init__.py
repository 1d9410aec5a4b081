"""Backups as files (docs/format-backup.md). Synchronous; knows nothing of clusters.

Reading order: `file_format` (every byte), `writer`, `reader`, `contents` (whether two sets of keys
and values are the same).
"""
