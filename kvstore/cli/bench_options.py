"""The options that all workloads of `kvstore bench` share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer

from kvstore.cli.session import Options
from kvstore.cli.text import positive
from kvstore.errors import ConfigurationError

if TYPE_CHECKING:
    from kvstore.bench.load import LoadPlan
    from kvstore.bench.workloads import Workload

P = ParamSpec("P")

SECONDS_MAX = 86_400.0
RATE_MAX = 10_000_000.0
KEYS_MAX = 10_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What they say."""

    callers: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=65536, help="Operations under way at once."),
    ] = 256
    processes: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=256, help="Client processes, each with as many callers."
        ),
    ] = 1
    keys: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=KEYS_MAX, help="Keys, bench/00000000 and on."),
    ] = 10_000
    value_bytes: Annotated[
        int, typer.Option(metavar="N", min=0, max=16 << 20, help="Size of a value, in bytes.")
    ] = 256
    seconds: Annotated[float, typer.Option(metavar="S", help="How long to measure.")] = 5.0
    warm_up: Annotated[
        float, typer.Option(metavar="S", help="The same load before that, not measured.")
    ] = 1.0
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            show_default=False,
            help="Operations due per second, in all: an open loop, in which latencies are measured "
            "from when an operation was due. [default: each caller asks when it is answered]",
        ),
    ] = None
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Of the choice of keys and operations.")
    ] = 0
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", show_default=False, help="Draw a picture of it."),
    ] = None

    def plan(self, workload: Workload) -> LoadPlan:
        """The load of `workload`; raises ConfigurationError where an option cannot be."""
        from kvstore.bench.load import LoadPlan  # noqa: PLC0415 - not for --help

        positive("seconds", self.seconds, SECONDS_MAX)
        if self.rate is not None:
            positive("rate", self.rate, RATE_MAX)
        if not 0 <= self.warm_up <= SECONDS_MAX:
            raise ConfigurationError(
                f"warm-up is {self.warm_up:g}; it must be at least 0 and at most {SECONDS_MAX:g}"
            )
        if self.plot is not None and self.plot.suffix != ".svg":
            raise ConfigurationError(f"plot is {self.plot}; it must end in .svg")
        if workload.batch > self.keys:
            raise ConfigurationError(
                f"batch is {workload.batch}; it must be at most the number of keys, {self.keys}"
            )
        return LoadPlan(
            workload,
            self.callers,
            self.keys,
            self.value_bytes,
            self.seconds,
            self.warm_up,
            self.rate,
            self.seed,
            self.processes,
        )


def with_shape(
    command: Callable[Concatenate[Options, Shape, P], None], *without: str, **defaults: object
) -> Callable[..., None]:
    """Gives a command the options above, but for those `without`; `defaults` replace theirs.

    It is handed what is given as its second parameter. Goes under `with_options`.
    """
    shared = {
        name: (annotation, defaults.get(name, default))
        for name, annotation, default in _options()
        if name not in without
    }

    @wraps(command)
    def run(options: Options, *args: Any, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name) for name in shared}
        return command(options, Shape(**{**defaults, **given}), *args, **kwargs)

    hints = get_type_hints(command, include_extras=True)
    own = list(inspect.signature(command).parameters.values())
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        own[0].replace(annotation=hints[own[0].name]),
        *(p.replace(kind=keyword, annotation=hints[p.name]) for p in own[2:]),
        *(inspect.Parameter(n, keyword, default=d, annotation=a) for n, (a, d) in shared.items()),
    ]
    # Whoever reads the signature is to read this one, not the wrapped function's.
    del run.__dict__["__wrapped__"]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__dict__["__signature__"] = inspect.Signature(parameters)
    return run


def _options() -> list[tuple[str, Any, Any]]:
    hints = get_type_hints(Shape, include_extras=True)
    fields = Shape.__dataclass_fields__
    return [(name, hints[name], field.default) for name, field in fields.items()]
