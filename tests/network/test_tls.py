"""The certificate that a listening node shows."""

import asyncio
import logging
import ssl
from datetime import UTC, datetime, timedelta

import pytest

from network.errors import CertificateTrouble
from network.tls import FILE_NAME, VALID_DAYS, client_context, open_certificate
from tests.network.scripted import Node, nodes

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_it_is_made_once_and_kept_for_the_owner_alone(tmp_path):
    folder = tmp_path / "network"
    first = open_certificate(folder, NOW)
    assert (folder / FILE_NAME).stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]
    (folder / FILE_NAME).chmod(0o644)
    assert open_certificate(folder, NOW + timedelta(days=VALID_DAYS - 1)).digest == first.digest
    assert (folder / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert open_certificate(tmp_path / "other", NOW).digest != first.digest


def blocks(text: str) -> tuple[str, str]:
    """Key and certificate of a file."""
    key, mark, certificate = text.partition("-----BEGIN CERTIFICATE-----")
    return key, mark + certificate


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda mine, other: "", "does not hold"),
        (lambda mine, other: mine[: len(mine) // 2], "does not hold"),
        (lambda mine, other: blocks(mine)[0], "does not hold"),
        (lambda mine, other: blocks(mine)[1], "does not hold"),
        (lambda mine, other: blocks(mine)[0] + blocks(other)[1], "do not belong together"),
        (lambda mine, other: mine + " " * 70_000, "too long"),
    ],
)
def test_a_damaged_one_is_made_anew_and_the_log_says_so(tmp_path, caplog, spoil, words):
    first = open_certificate(tmp_path, NOW)
    open_certificate(tmp_path / "other", NOW)
    path = tmp_path / FILE_NAME
    path.write_text(spoil(path.read_text(), (tmp_path / "other" / FILE_NAME).read_text()))
    with caplog.at_level(logging.WARNING):
        second = open_certificate(tmp_path, NOW)
    assert second.digest != first.digest and words in caplog.text and str(path) in caplog.text
    assert open_certificate(tmp_path, NOW).digest == second.digest


@pytest.mark.parametrize("later", [timedelta(days=VALID_DAYS + 1), timedelta(days=-2)])
def test_an_expired_one_is_made_anew(tmp_path, caplog, later):
    first = open_certificate(tmp_path, NOW)
    with caplog.at_level(logging.WARNING):
        assert open_certificate(tmp_path, NOW + later).digest != first.digest
    assert "it is valid from" in caplog.text


def test_a_place_where_it_cannot_be_kept_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / FILE_NAME).mkdir(parents=True)
    for folder in (tmp_path / "file", tmp_path / "folder"):
        with pytest.raises(CertificateTrouble, match=str(folder)):
            open_certificate(folder, NOW)


async def test_a_request_in_the_same_packet_as_the_end_of_the_tls_handshake_is_not_lost():
    async with nodes(Node(1)) as (one,):
        host, _, port = one.gate.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(incoming, outgoing)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65_536))
        tls.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.write(outgoing.read())  # the last message of the handshake, and the request
        incoming.write(await reader.read(65_536))
        assert tls.read().startswith(b"HTTP/1.1 404")
        writer.close()
