"""What can go wrong between nodes. Whatever strangers, sockets and TLS do becomes one of these, in words that help."""


class NetworkError(Exception):
    """Base of all errors of this package. `told` is what the other end of a connection hears of it."""

    told = "the handshake failed"


class BadAddress(NetworkError):
    """Not HOST:PORT."""


class Busy(NetworkError):
    """Enough of this is under way already."""


class CannotListen(NetworkError):
    """The port is taken, or the address is not ours."""


class CannotConnect(NetworkError):
    """Nobody answers at an address: refused, unreachable, unknown name, or cut off before the handshake was done."""


class TimedOut(CannotConnect):
    """The other end took too long."""

    told = "the handshake took too long"


class NotANode(CannotConnect):
    """Something answers, but it does not speak this protocol."""


class OtherVersion(NetworkError):
    """A node that speaks another version of the protocol."""

    told = "this node speaks another version of the protocol"


class OtherNetwork(NetworkError):
    """A node of another network."""

    told = "this node belongs to another network"


class Malformed(NetworkError):
    """Bytes that no node that follows the protocol sends."""

    told = "the handshake is malformed"


class Impostor(NetworkError):
    """The other end does not own the key that it shows, or somebody stands between."""

    told = "the signature of the Hello does not fit this connection"


class Ourselves(NetworkError):
    """We have dialled our own node."""

    told = "this is your own node"


class Refused(NetworkError):
    """The other node has closed the connection and said why."""


class CertificateTrouble(NetworkError):
    """The TLS certificate can be neither read nor made anew."""
