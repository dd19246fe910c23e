"""Keystores that open at once: what makes guessing dear makes tests slow."""

import pytest

from wallet import keystore

CHEAP = 2


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """New keystores take next to no stretching."""
    seal = keystore.seal

    def sealed(
        secret: bytes, password: str, address: str, description: str = "", scrypt_n: int = 0
    ) -> keystore.Keystore:
        return seal(secret, password, address, description, CHEAP)

    monkeypatch.setattr(keystore, "seal", sealed)
