"""Bytes between peers. The network of one needs none: this package gets its modules with the second node."""
