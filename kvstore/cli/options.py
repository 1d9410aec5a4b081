"""The options that commands share, as typer sees them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer

from kvstore.cli.session import DEFAULT_ENDPOINTS, DEFAULT_TIMEOUT_S, Options, Output

P = ParamSpec("P")

EndpointsOption = Annotated[
    str | None,
    typer.Option(
        "--endpoints",
        metavar="HOST:PORT,…",
        help="Nodes to ask first; the others are found through them. [KVSTORE_ENDPOINTS; "
        f"default {DEFAULT_ENDPOINTS}]",
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help=f"How long to try each operation. [KVSTORE_TIMEOUT; default {DEFAULT_TIMEOUT_S:g}]",
    ),
]
OutputOption = Annotated[
    Output | None,
    typer.Option("--output", help="How to print results. [KVSTORE_OUTPUT; default simple]"),
]


def with_options(
    command: Callable[Concatenate[Options, P], int | None],
) -> Callable[..., int | None]:
    """Gives a command --endpoints, --timeout and --output, so that they may follow its name too.

    The command's first parameter is handed what is given here, else before the command's name.
    """

    @wraps(command)
    def run(
        context: typer.Context,
        *args: Any,
        endpoints: str | None,
        timeout: float | None,
        output: Output | None,
        **kwargs: Any,
    ) -> int | None:
        given = Options(endpoints, timeout, output).over(context.obj or Options())
        return command(given, *args, **kwargs)

    hints = get_type_hints(command, include_extras=True)
    own = list(inspect.signature(command).parameters.values())[1:]
    shared = {"endpoints": EndpointsOption, "timeout": TimeoutOption, "output": OutputOption}
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("context", inspect.Parameter.POSITIONAL_ONLY, annotation=typer.Context),
        *(p.replace(kind=keyword, annotation=hints[p.name]) for p in own),
        *(inspect.Parameter(n, keyword, default=None, annotation=a) for n, a in shared.items()),
    ]
    # Typer reads the signature and the annotations; the wrapped function has other ones.
    del run.__dict__["__wrapped__"]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__dict__["__signature__"] = inspect.Signature(parameters)
    return run
