"""Each checker, with what it has to pass over and what it has to find."""
