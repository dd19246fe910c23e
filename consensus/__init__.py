"""Which block is next: stake-weighted Simplex as a pure function. Start reading at `consensus.step`."""
