"""A simulated machine: a name on the network, a clock, and one process at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kvstore.simulation.channel import SimulatedChannel
from kvstore.simulation.kernel import Kernel
from kvstore.simulation.process_loop import ProcessLoop
from kvstore.simulation.trace import Field

if TYPE_CHECKING:
    from kvstore.simulation.cluster import Cluster

_WALL_MS: Final = 1_700_000_000_000
_START_S: Final = 1_000.0


class Machine:
    """See the module. It is the `Clock` of its process."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.kernel: Final = kernel
        self.name: Final = name
        self.rate = 1.0
        """Of its clock: local seconds in a second; holds from the next process on."""
        self.wall_offset_ms = 0
        """What its wall clock is wrong by."""
        self.loop: ProcessLoop | None = None
        """Of the process; None where none runs."""
        self.channels: list[SimulatedChannel] = []
        """That its process has opened."""

    def note(self, kind: str, *fields: Field) -> None:
        """An event of this machine."""
        self.kernel.trace.note(self.kernel.now_ns, kind, (self.name, *fields))

    def say(self, kind: str, *fields: Field) -> None:
        """Something good to read; see Trace."""
        self.kernel.trace.say(self.kernel.now_ns, kind, self.name, *fields)

    # Clock

    def monotonic_s(self) -> float:
        """See Clock."""
        return _START_S if self.loop is None else self.loop.time()

    def wall_ms(self) -> int:
        """See Clock."""
        return _WALL_MS + self.kernel.now_ns // 1_000_000 + self.wall_offset_ms

    # Its process

    def new_process(self) -> ProcessLoop:
        """The loop of a new one."""
        # The library declares all that a loop may have as abstract; this one has what is used.
        self.loop = ProcessLoop(self.kernel, self.name, self.rate, _START_S)  # type: ignore[abstract]
        self.channels = []
        self.kernel.processes.append(self.loop)
        return self.loop

    def end_process(self, *, power_is_on: bool = True) -> None:
        """Ends it without warning. Its system, if it has power, tells those it was connected to."""
        if power_is_on:
            for channel in self.channels:
                channel.reset("the process ended")
        if self.loop is not None:
            self.loop.kill()
        self.loop = None

    def open_channel(self, cluster: Cluster, address: str) -> SimulatedChannel:
        """A way to a node, for the process that runs."""
        if self.loop is None:
            raise ValueError(f"no process runs on {self.name}")
        channel = SimulatedChannel(
            address,
            loop=self.loop,
            network=cluster.network,
            directory=cluster,
            machine=self.name,
            random=self.kernel.random(f"channel {self.name} {len(self.channels)} {address}"),
        )
        self.channels.append(channel)
        return channel
