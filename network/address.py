"""HOST:PORT as text: one way to read and to write it."""


def parse_address(text: str, port_zero: bool = False) -> tuple[str, int]:
    """Host (IPv6 without brackets) and port. Port 0 only where any free one is meant. Raises BadAddress."""
    raise NotImplementedError


def format_address(host: str, port: int) -> str:
    """The text that `parse_address` reads."""
    raise NotImplementedError
