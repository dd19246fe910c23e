"""The rules of the ledger: pure functions on integers and bytes. Start reading at `chain.transition.apply_block`."""
