"""Learning together: tensors, no money, no sockets. Start reading at `training.round.train_round`."""
