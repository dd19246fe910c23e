"""The node's HTTP face: one table of routes, JSON, events, metrics, limits. Start reading at `node.api.routes`."""
