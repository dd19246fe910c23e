"""Hashes and signatures. `hashing` for digests, `ecdsa` for wallet and node keys, `bls` for validator keys."""
