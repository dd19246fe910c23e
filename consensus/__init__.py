"""Which block is next: stake-weighted Simplex as a pure step. Start reading at `consensus.step.step`."""
