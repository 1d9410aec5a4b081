"""Between generated messages and the values that the rest of the node and the client work with."""
