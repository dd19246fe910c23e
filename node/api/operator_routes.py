"""Routes of the network's numbers, and those that only the node's operator may use."""

from node.api.route import Route

OPERATOR_ROUTES: tuple[Route, ...] = ()
