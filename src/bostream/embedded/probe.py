"""Asks a broker, in Kafka's own protocol, which brokers its cluster has: no client library, no log to read.

Request ``Metadata`` version 1 with no topics: the oldest one that names the brokers, understood by every Kafka.
"""

import socket
import struct

_METADATA = 3
_VERSION = 1
_CORRELATION = 1
_NO_CLIENT_ID = -1
_NO_TOPICS = 0
_REQUEST = struct.pack(">hhihi", _METADATA, _VERSION, _CORRELATION, _NO_CLIENT_ID, _NO_TOPICS)
_RESPONSE_BYTES_MAX = 1 << 20


def live_brokers(host: str, port: int, timeout_s: float) -> int:
    """Return how many brokers the broker at this address knows to be alive; 0 while it does not answer."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(struct.pack(">i", len(_REQUEST)) + _REQUEST)
            (size,) = struct.unpack(">i", _receive(connection, 4))
            if not 0 < size <= _RESPONSE_BYTES_MAX:
                return 0
            correlation, brokers = struct.unpack_from(">ii", _receive(connection, size))
    except (OSError, struct.error):
        return 0
    return int(brokers) if correlation == _CORRELATION else 0


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise ConnectionResetError("the broker closed the connection")
        received += chunk
    return received
