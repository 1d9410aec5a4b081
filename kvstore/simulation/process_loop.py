"""The event loop of one simulated process: asyncio's, on the kernel's time and its own clock.

One loop for each process, not one for all: so a process can be paused (what becomes due is kept),
killed (it is dropped) and have a clock that runs at another rate, and the code in it sees no more
of that than a real process would. Ready-made loops in virtual time (looptime, aiotools) have one
clock for all and no processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from math import ceil
from typing import Any, Final, TypeVar, TypeVarTuple

from kvstore.simulation.checkers.violation import Violation
from kvstore.simulation.kernel import NS_PER_S, Kernel

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_EXECUTOR_S: Final = 0.001
"""What work in a thread takes."""
_TASKS_PRUNED_AT: Final = 512
_CLOSES_MAX: Final = 100


class ProcessLoop(asyncio.AbstractEventLoop):
    """See the module. `rate`: local seconds in a second."""

    def __init__(self, kernel: Kernel, name: str, rate: float = 1.0, start_s: float = 0.0) -> None:
        self.kernel: Final = kernel
        self.name: Final = name
        self.rate: Final = rate
        self.is_dead = False
        self.is_paused = False
        self._origin_ns = kernel.now_ns
        self._start_s = start_s
        self._soon = kernel.soon
        self._held: list[_Handle] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._prune_at = _TASKS_PRUNED_AT

    def __repr__(self) -> str:
        return f"<ProcessLoop of {self.name}>"

    # What is done to the process

    def pause(self) -> None:
        """Runs nothing for now, like SIGSTOP."""
        self.is_paused = True

    def resume(self) -> None:
        """Runs what has become due meanwhile, and goes on."""
        self.is_paused = False
        held, self._held = self._held, []
        for handle in held:
            self._soon(handle)

    def kill(self) -> None:
        """Runs nothing any more."""
        self.is_dead = True
        self._held.clear()

    def jump(self, ahead_s: float) -> None:
        """The clock goes ahead by so much at once."""
        self._start_s += ahead_s
        self.kernel.hasten(self, int(ahead_s / self.rate * NS_PER_S))

    def bury(self) -> None:
        """Ends the coroutines that a process left behind, so that nothing of them runs or complains
        when their memory is given back."""
        self._prune()
        self.kill()
        asyncio._set_running_loop(self)
        hook = sys.unraisablehook
        # Generators that are closed in the middle say so here, and it does not matter any more.
        sys.unraisablehook = lambda _problem: None
        try:
            for task in self._tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    _close(task)
            self._tasks.clear()
        finally:
            sys.unraisablehook = hook
            asyncio._set_running_loop(None)

    def deliver(self, callback: Callable[[], object]) -> None:
        """Runs what the world brings the process: at once, as nothing else is due when the world
        does something."""
        _Handle(self, 0.0, callback, ()).run()

    def hold(self, handle: _Handle) -> None:
        """Keeps what has become due in a pause."""
        self._held.append(handle)

    # The event loop

    def time(self) -> float:
        """Local seconds."""
        return self._start_s + (self.kernel.now_ns - self._origin_ns) * self.rate / NS_PER_S

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """See AbstractEventLoop."""
        handle = _Handle(self, 0.0, callback, args)
        if not self.is_dead:
            self._soon(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See AbstractEventLoop."""
        return self._call_in(delay, self.time() + delay, callback, args)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See AbstractEventLoop."""
        return self._call_in(when - self.time(), when, callback, args)

    def _call_in(
        self, delay_s: float, when_s: float, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> asyncio.TimerHandle:
        handle = _Handle(self, when_s, callback, args)
        if not self.is_dead:
            # Rounded up: a timer never finds that it is not yet time.
            kernel = self.kernel
            kernel.at(kernel.now_ns + ceil(delay_s / self.rate * NS_PER_S), handle)
        return handle

    def run_in_executor(
        self,
        executor: object,
        func: Callable[[*Ts], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Does the work a little later, in the same thread as everything."""
        future: asyncio.Future[T] = self.create_future()

        def work() -> None:
            if future.done():
                return
            try:
                future.set_result(func(*args))
            except Exception as problem:
                future.set_exception(problem)

        self.call_later(_EXECUTOR_S, work)
        return future

    def create_future(self) -> asyncio.Future[Any]:
        """See AbstractEventLoop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """See AbstractEventLoop. Tasks are held on to, for `bury`."""
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) >= self._prune_at:
            self._prune()
        return task

    def spawn(self, coro: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs `coro` for itself: that it raises is a bug."""
        task = self.create_task(coro)
        task.add_done_callback(self._check)
        return task

    def _prune(self) -> None:
        """Lets go of tasks that are done. What one raised and nobody looked at is a bug."""
        left: list[asyncio.Task[Any]] = []
        for task in self._tasks:
            if not task.done():
                left.append(task)
            elif task._log_traceback:
                self._check(task)
        self._tasks = left
        self._prune_at = max(_TASKS_PRUNED_AT, 2 * len(left))

    def _check(self, task: asyncio.Task[Any]) -> None:
        problem = None if task.cancelled() else task.exception()
        if problem is not None:
            self.call_exception_handler({"message": f"{task!r} raised", "exception": problem})

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody caught is a bug: the run ends with it."""
        if self.is_dead:
            return
        problem = context.get("exception")
        if isinstance(problem, Violation):
            self.kernel.fail(problem)
            return
        said = f"{self.name}: {problem!r}" if problem else f"{self.name}: {context['message']}"
        violation = Violation("every error is handled", said)
        violation.__cause__ = problem
        self.kernel.fail(violation)

    def is_running(self) -> bool:
        """See AbstractEventLoop."""
        return not self.is_dead

    def is_closed(self) -> bool:
        """See AbstractEventLoop."""
        return self.is_dead

    def get_debug(self) -> bool:
        """See AbstractEventLoop."""
        return False


class _Handle(asyncio.TimerHandle):
    """asyncio's, of something that is due at once or later; a Due of the kernel. There are so many
    that it takes time to ask each whether the loop is debugged, and to run it in a context: nothing
    here keeps anything in one."""

    __slots__ = ()

    def __init__(
        self,
        loop: ProcessLoop,
        when_s: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
    ) -> None:
        self._loop: ProcessLoop = loop
        self._when = when_s
        self._callback = callback
        self._args = args
        self._cancelled = False

    def __repr__(self) -> str:
        return f"<{self._callback!r} of {self._loop.name}>"

    @property
    def process(self) -> ProcessLoop:
        """See Due."""
        return self._loop

    def run(self) -> None:
        """See Due."""
        loop = self._loop
        if self._cancelled or loop.is_dead:
            return
        if loop.is_paused:
            loop.hold(self)
            return
        asyncio._set_running_loop(loop)
        try:
            self._callback(*self._args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as problem:
            loop.call_exception_handler({"message": f"{self!r} raised", "exception": problem})

    def cancel(self) -> None:
        """See Handle. It is dropped when its time comes."""
        self._cancelled = True
        self._callback = _nothing
        self._args = ()


def _nothing() -> None:
    """In place of what was called off."""


def _close(task: asyncio.Task[Any]) -> None:
    """Closes the task's coroutine; one that waits for something on its way out is closed again."""
    coroutine: Any = task.get_coro()
    for _ in range(_CLOSES_MAX):
        with contextlib.suppress(RuntimeError):
            coroutine.close()
            return
