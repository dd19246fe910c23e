"""A network of real node processes on one machine. Start reading at `node.localnet.crew.Crew`."""
