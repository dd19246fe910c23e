"""Your keys: mnemonic, derivation, keystore, signing. Start reading at `wallet.keys`."""
