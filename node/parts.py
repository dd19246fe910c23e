"""How the protocols of a node share its peers: each handles kinds of message of its own. Start reading at `Parts`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from chain.errors import BadSignature, DecodeError, NeuroError
from network.peer import Peer
from node.errors import NodeError
from node.runtime import INVALID, MALFORMED, Runtime

Handler = Callable[[bytes, bytes], None]  # key of the peer, payload


class Part(Protocol):
    """One protocol. A handler may raise an error of the family: its peer is blamed, and nothing else happens."""

    def handlers(self) -> Mapping[int, Handler]: ...

    def joined(self, peer: Peer) -> None: ...

    def left(self, key: bytes) -> None: ...


class Parts:
    """All protocols of a node; what `network` tells goes to those whom it concerns."""

    def __init__(self, runtime: Runtime, parts: Iterable[Part]) -> None:
        self.runtime = runtime
        self.parts = tuple(parts)
        self.handlers: dict[int, Handler] = {}
        for part in self.parts:
            for kind, handler in part.handlers().items():
                assert kind not in self.handlers, f"two parts handle kind {kind}"
                self.handlers[kind] = handler

    def joined(self, peer: Peer) -> None:
        for part in self.parts:
            part.joined(peer)

    def left(self, key: bytes) -> None:
        for part in self.parts:
            part.left(key)

    def received(self, key: bytes, kind: int, payload: bytes) -> None:
        handler = self.handlers.get(kind)
        if handler is None:
            return  # A kind of a later version, or one that we do not serve.
        try:
            handler(key, payload)
        except NodeError as error:
            self.runtime.fail(error)  # A fault of this machine, whoever's message has brought it to light.
        except (DecodeError, BadSignature) as error:
            self.runtime.blame(key, MALFORMED, str(error))
        except NeuroError as error:
            self.runtime.blame(key, INVALID, str(error))
