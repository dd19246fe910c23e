"""Something that answers where a node should: scripted bytes on a real socket of this machine."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

Reply = bytes | list[bytes | float] | None


def http(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


@contextmanager
def answering(*replies: Reply) -> Iterator[str]:
    """Its address. Each reply is for one request, the last one for all that follow; None closes without a word.

    A list is sent piece by piece; a number in it is a pause in seconds.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    left, done = list(replies), threading.Event()

    def serve(stream: socket.socket) -> None:
        with stream:
            try:
                while not done.is_set() and _request(stream):
                    reply = left.pop(0) if len(left) > 1 else left[0]
                    if reply is None:
                        return
                    for piece in [reply] if isinstance(reply, bytes) else reply:
                        if isinstance(piece, bytes):
                            stream.sendall(piece)
                        elif done.wait(piece):
                            return
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(stream,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        # Closing alone does not wake whoever accepts.
        with socket.socket() as knock:
            listener.close()
            knock.settimeout(0.1)
        time.sleep(0)


def _request(stream: socket.socket) -> bool:
    """Reads one request, with its body."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        more = stream.recv(65_536)
        if not more:
            return False
        seen += more
    head, _, body = seen.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            wanted = int(line.split(b":")[1])
            while len(body) < wanted:
                body += stream.recv(65_536)
    return True
