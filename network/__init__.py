"""Bytes between peers: whom to connect to, proving who is at the other end, queues, limits, and files by their hash.

Knows nothing of the ledger. Start reading at `network.switch.Switch`; `network.kinds` is the table of messages.
"""
