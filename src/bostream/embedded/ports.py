"""Finds free ports on the loopback address.

What must stay true: the ports lie outside every usual range of ephemeral ports. A client that keeps reconnecting to a
dead node would otherwise sooner or later be given that node's port as its own, and the node could not come back.
"""

import contextlib
import secrets
import socket

from bostream.embedded.properties import HOST, Address
from bostream.errors import BrokerError

PORTS = range(20_000, 32_000)
_TRIES_MAX = 200


def free_addresses(nodes: int) -> list[Address]:
    """Return two free ports for each node; they are held open together while choosing, so that none comes twice."""
    with contextlib.ExitStack() as held:
        ports = [_free_port(held) for _ in range(2 * nodes)]
    return [Address(node + 1, ports[2 * node], ports[2 * node + 1]) for node in range(nodes)]


def _free_port(held: contextlib.ExitStack) -> int:
    for _ in range(_TRIES_MAX):
        port = PORTS[secrets.randbelow(len(PORTS))]
        listener = held.enter_context(socket.socket())
        try:
            listener.bind((HOST, port))
        except OSError:
            continue
        return port
    raise BrokerError(f"found no free port between {PORTS.start} and {PORTS.stop} on {HOST}.")
