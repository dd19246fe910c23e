"""The bridge: the only package that imports all others. Start reading at `node.node.Node`."""
