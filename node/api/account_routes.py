"""Routes for wallets: what an address earned, its history, its nodes, and who owns most."""

from node.api.route import Route

ACCOUNT_ROUTES: tuple[Route, ...] = ()
