"""The kvstore command. Nothing heavy is imported before it is known to be needed."""
