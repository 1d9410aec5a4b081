"""The connections of a client, one per address, and which of them nothing should be handed to."""

from __future__ import annotations

from collections.abc import Callable, Collection

from kvstore.client.channel import Method, OpenChannel
from kvstore.client.direct_channel import DirectChannel

Suspects = Callable[[str], bool]
"""Whether nothing should be handed to an address now, because its node is thought to be gone."""


def suspects_nobody(_address: str) -> bool:
    """The `Suspects` of a client that knows of the nodes only what its calls tell."""
    return False


class Connection:
    """A channel to one address, unless that is suspected.

    While it is, the connection counts as lost, though it may be open: what is sent to a node that
    hangs is neither done nor refused, and a write so sent has no known outcome.
    """

    __slots__ = (
        "_channel",
        "_suspects",
        "address",
        "batch",
        "get_map",
        "prefer_leaders",
        "scrub",
        "status",
    )

    def __init__(self, address: str, suspects: Suspects, open_channel: OpenChannel) -> None:
        self.address = address
        self._suspects = suspects
        channel = open_channel(address)
        self._channel = channel
        self.batch: Method = channel.batch
        self.get_map: Method = channel.get_map
        self.status: Method = channel.status
        self.scrub: Method = channel.scrub
        self.prefer_leaders: Method = channel.prefer_leaders

    def __repr__(self) -> str:
        return f"<Connection to {self.address}>"

    def is_ready(self) -> bool:
        """Whether what is sent now goes out on an open connection; if not, begins to connect."""
        return self._channel.is_ready() and not self._suspects(self.address)

    def is_down(self) -> bool:
        """Whether an attempt to connect failed just now, or the node is suspected."""
        return self._channel.is_down() or self._suspects(self.address)

    async def connected(self, timeout_s: float) -> bool:
        """Connects; False as soon as an attempt fails, or when `timeout_s` are over."""
        if self._suspects(self.address):
            return False
        return await self._channel.connected(timeout_s) and not self._suspects(self.address)

    async def close(self) -> None:
        """Ends the connection and what is under way on it."""
        await self._channel.close()


class Connections:
    """The connections of a client, by address."""

    __slots__ = ("_by_address", "_open_channel", "_suspects")

    def __init__(
        self, suspects: Suspects = suspects_nobody, open_channel: OpenChannel = DirectChannel
    ) -> None:
        self._suspects = suspects
        self._open_channel = open_channel
        self._by_address: dict[str, Connection] = {}

    def to(self, address: str) -> Connection:
        """The connection to `address`, made where missing."""
        connection = self._by_address.get(address)
        if connection is None:
            connection = Connection(address, self._suspects, self._open_channel)
            self._by_address[address] = connection
        return connection

    def is_down(self, address: str) -> bool:
        """Whether it is known that `address` could not be reached."""
        connection = self._by_address.get(address)
        return connection is not None and connection.is_down()

    async def keep_only(self, addresses: Collection[str]) -> None:
        """Closes the connections to all other addresses."""
        gone = [address for address in self._by_address if address not in addresses]
        for connection in [self._by_address.pop(address) for address in gone]:
            await connection.close()
