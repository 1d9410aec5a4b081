"""All commands but `serve` on its own path: the command line as typer sees it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Final

import typer

from kvstore.cli import (
    backup,
    bench,
    change_keys,
    chaos,
    cluster,
    explain,
    inspect,
    keys,
    leaders,
    local,
    ranges,
    restore,
    scrub,
    shell,
    simulate,
    transaction,
    transfer,
    verify,
)
from kvstore.cli.exits import ExitCode
from kvstore.cli.options import EndpointsOption, OutputOption, TimeoutOption
from kvstore.cli.printing import write_line
from kvstore.cli.session import Options, options_from_environment
from kvstore.errors import ConfigurationError

# The library's base of all usage errors has no public name that is the same in all its versions.
_USAGE_ERROR: Final[type[Exception]] = next(
    c for c in typer.BadParameter.mro() if c.__name__ == "ClickException"
)

app: Final = typer.Typer(
    name="kvstore",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def run(argv: Sequence[str], options: Options | None = None) -> int:
    """Runs the command in `argv`; raises ConfigurationError for a wrong command line.

    `options` hold where it names none; None: those of the environment.
    """
    try:
        code = command_tree().main(
            list(argv) or ["--help"], prog_name="kvstore", standalone_mode=False, obj=options
        )
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except _USAGE_ERROR as problem:
        raise ConfigurationError(_usage(problem)) from problem
    return int(code or ExitCode.DONE)


@cache
def command_tree() -> Any:
    """All commands with their parameters, as the library under typer has them; made once."""
    return typer.main.get_command(app)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415

        from kvstore.form import COMPILED, installed_form  # noqa: PLC0415

        form = f" ({COMPILED})" if installed_form() == COMPILED else ""
        write_line(f"kvstore {version('kvstore')}{form}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    endpoints: EndpointsOption = None,
    timeout: TimeoutOption = None,
    output: OutputOption = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """A distributed key-value store: partitioned, replicated, durable, linearizable.

    \b
    exit codes:
      0  done                                  3  unavailable or timed out; nothing was applied
      1  no: there is no such key, or damage   4  a write may or may not have been applied
      2  wrong usage, settings or input file   5  refused: a limit or a full queue or disk
                                               6  a condition of the write does not hold
                                               7  verify: not decided within its limits
    """
    context.obj = Options(endpoints, timeout, output).over(
        context.obj or options_from_environment()
    )


@app.command(
    "serve",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def _serve(context: typer.Context) -> int:
    """Run a node, until it is asked to end. See kvstore serve --help."""
    from kvstore.cli.serve import serve  # noqa: PLC0415 - see main

    return serve(context.args)


for _name, _command in (
    ("put", keys.put),
    ("get", keys.get),
    ("delete", keys.delete),
    ("increment", change_keys.increment),
    ("append", change_keys.append),
    ("touch", change_keys.touch),
    ("txn", transaction.txn),
    ("scan", keys.scan),
    ("count", ranges.count),
    ("delete-range", ranges.delete_range),
    ("import", transfer.import_file),
    ("export", transfer.export_file),
    ("backup", backup.backup),
    ("restore", restore.restore),
    ("status", cluster.status),
    ("locate", cluster.locate),
    ("explain", explain.explain),
    ("health", cluster.health),
    ("scrub", scrub.scrub),
    ("shell", shell.shell),
    ("inspect", inspect.inspect),
    ("simulate", simulate.simulate),
    ("chaos", chaos.chaos),
    ("verify", verify.verify),
):
    app.command(_name)(_command)
app.add_typer(local.app, name="local")
app.add_typer(leaders.app, name="leaders")
app.add_typer(bench.app, name="bench")


def _usage(problem: Any) -> str:
    """One clause of what the library found; its errors have a message and perhaps a context."""
    message = " ".join(problem.format_message().split()).rstrip(".")
    context = getattr(problem, "ctx", None)
    command = "kvstore" if context is None else context.command_path
    return f"{message[:1].lower()}{message[1:]} (see {command} --help)"
