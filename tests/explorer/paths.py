"""Where each page of the explorer shows something that is there."""

from node.api.page_files import PAGES, path_of
from tests.node.lone_node import IDENTITY
from tests.node.served import Served

LISTS = ("round", "block", "node", "wallet")  # pages that show a list, or the node's own, where nothing is named


async def named_paths(served: Served, rounds: int) -> dict[str, str]:
    """Every page with a name behind it where it takes one, and the lists."""
    own = served.node.address_text
    [newest] = (await served.get(f"/v1/accounts/{own}/transactions?limit=1"))["transactions"]
    node = IDENTITY.node.hex()
    names = {
        "round": f"#{rounds}",
        "block": "#3",
        "transaction": f"#{newest['id']}",
        "proof": f"#{rounds}/{node[:8]}",
        "wallet": f"#{own}",
        "node": f"#{node}",
    }
    found = {name: path_of(name) + names.get(name, "") for name in PAGES}
    return found | {f"{name} list": path_of(name) for name in LISTS}
