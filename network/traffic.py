"""How much has been said over all connections that a node ever had: the connections of the moment alone forget."""

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """Bytes of messages since the start, without the headers of frames and of encryption."""

    sent: int = 0
    received: int = 0
