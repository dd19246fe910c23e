"""What a node tells as it happens: the reader of its Server-Sent Events. Bounded like every answer of a stranger's."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from urllib.parse import urlencode

from wallet.answered import Answered
from wallet.client import SECONDS, checked_address, object_of, refusal
from wallet.errors import ApiError, BadAnswer, BadValue, NodeAway, Refused
from wallet.plain import plain

EVENT_BYTES_MAXIMUM = 1 << 20
QUIET_SECONDS = 40  # a node says that it lives every 15 s
ADDRESSES_MAXIMUM = 16
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
Hear = Callable[[str, Answered], None]


class Stream:
    """One connection that is only read. Raises ApiError."""

    def __init__(self, address: str, addresses: Sequence[str] = ()) -> None:
        self.address = checked_address(address)
        query = urlencode({"address": ",".join(addresses[:ADDRESSES_MAXIMUM])}) if addresses else ""
        self._path = f"/v1/events?{query}" if query else "/v1/events"
        self._connection = http.client.HTTPConnection(self.address, timeout=SECONDS)
        self._socket: socket.socket | None = None  # the connection lets go of it when the node wants to close
        self._closed = False

    def events(self) -> Iterator[tuple[str, Answered]]:
        """Name and content of each event, until the stream ends or somebody closes it."""
        try:
            lines = self._opened()
            yield from self._read(lines)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if self._closed:
                return
            raise NodeAway(f"the node at {self.address} is away ({_reason(error)})") from error
        finally:
            self._connection.close()

    def close(self) -> None:
        """From any thread: whoever reads sees the end."""
        self._closed = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _opened(self) -> http.client.HTTPResponse:
        self._connection.connect()
        self._socket = self._connection.sock
        if self._closed:
            raise ConnectionAbortedError("closed")
        self._connection.request("GET", self._path, headers={"Accept": "text/event-stream"})
        answer = self._connection.getresponse()
        kind = answer.getheader("Content-Type", "")
        if answer.status == 200 and kind.startswith("text/event-stream"):
            self._socket.settimeout(QUIET_SECONDS)
            return answer
        content = object_of(answer.read(EVENT_BYTES_MAXIMUM))
        if answer.status >= 300 and content is not None:
            raise refusal(content, answer.status)
        raise BadAnswer(f"another program answers at {self.address}: name a node's API with --api HOST:PORT")

    def _read(self, answer: http.client.HTTPResponse) -> Iterator[tuple[str, Answered]]:
        """Lines as the standard of Server-Sent Events has them; an empty one ends an event."""
        name, data = "message", bytearray()
        while line := answer.readline(EVENT_BYTES_MAXIMUM + 1):
            if len(line) + len(data) > EVENT_BYTES_MAXIMUM:
                raise BadAnswer(f"an event of {self.address} has more than {EVENT_BYTES_MAXIMUM >> 20} MiB")
            line = line.rstrip(b"\r\n")
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"event":
                name = value.decode("utf-8", "replace")
            elif field == b"data":
                data += value + b"\n"
            elif not line:
                if data:
                    yield name, self._content(name, bytes(data))
                name, data = "message", bytearray()

    def _content(self, name: str, data: bytes) -> Answered:
        content = object_of(data)
        if content is None:
            raise BadAnswer(f"an event of {self.address} makes no sense: ask another node with --api HOST:PORT")
        return Answered(content, f"the node at {self.address}, event {plain(name, 40)}")


class Follower:
    """Follows a node through its absences, in the thread that calls `run`."""

    def __init__(self, api: Callable[[], str], addresses: Callable[[], Sequence[str]]) -> None:
        self.api, self.addresses = api, addresses
        self._wake = threading.Event()
        self._stopped = False
        self._stream: Stream | None = None

    def run(self, hear: Hear, away: Callable[[ApiError], None]) -> None:
        """Tell each event, and each time that there is nobody to tell any, until `stop`."""
        pause = FIRST_PAUSE
        addresses = self.addresses()
        while not self._stopped:
            try:
                self._wake.clear()
                stream = self._stream = Stream(self.api(), addresses)
                if self._stopped:
                    return
                for name, content in stream.events():
                    pause = FIRST_PAUSE
                    hear(name, content)
            except Refused as error:
                if addresses:  # a node that knows no addresses here still tells what happens to all
                    addresses = ()
                    continue
                away(error)
            except ApiError as error:
                if not self._stopped:
                    away(error)
            except BadValue as error:  # settings, or the folder's note of its node, may be right the next time
                away(NodeAway(str(error)))
            addresses = self.addresses()
            if not self._wake.wait(pause):
                pause = min(2 * pause, LONGEST_PAUSE)

    def again(self) -> None:
        """Connect anew, now: to another node, or for other addresses. From any thread."""
        self._wake.set()
        if self._stream is not None:
            self._stream.close()

    def stop(self) -> None:
        """From any thread; `run` returns soon."""
        self._stopped = True
        self.again()


def _reason(error: Exception) -> str:
    return plain(getattr(error, "strerror", None) or str(error) or type(error).__name__)
