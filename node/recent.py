"""A memory of fixed size: whether something was met lately."""


class Recent:
    """The names met last, between half of `size` and `size` of them.

    Two generations, of which the older is dropped whole: that costs the same at every name, where a linked list would
    cost each of them an object more.
    """

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, name: bytes) -> None:
        """Remember a name, or remember it for longer."""
        if name in self._young:
            return
        self._old.discard(name)
        if len(self._young) >= self._half:
            self._old, self._young = self._young, set()
        self._young.add(name)

    def __contains__(self, name: object) -> bool:
        return name in self._young or name in self._old
