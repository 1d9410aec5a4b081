"""Programs for those who work on kvstore; none of them is installed with it."""
