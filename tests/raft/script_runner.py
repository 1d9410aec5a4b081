"""Runs cluster scripts: text files that drive bare cores and say what happens.

A script is a transcript. Lines that begin with `# ` are comments; the first says which section of
the dissertation or the Raft paper the script shows. Lines that begin with `> ` are commands, and
the lines below, indented by two spaces, what the command prints. `KVSTORE_REWRITE_SCRIPTS=1` puts
what is printed today in place of what the file says: read the difference before you commit it.

Nothing happens that is not asked for: no time passes, no message arrives and no disk finishes,
except in `stabilize` and `elapse`. A step that changes a replica says so, as
`2: term 7 => 8, leader none => 1`. An entry at index 3 of term 2 is 3@2, its payload in quotes.

R stands for a replica, R… for some (1, 1..3, 1,4..5), (R…) for some or, without, all that run.

The group:

| command | what happens |
| --- | --- |
| `config NAME=N …` | fields of RaftConfig, for the replicas started from now on |
| `leases` | turns on lease reads, likewise; `drift_ppm=N` |
| `group R…` | the voters, for the replicas added from now on; `learners=4,5` |
| `add R…` | starts replicas, with `log=1x3,4` (three entries of term 1, one of 4), `term=N`, \
`vote=R`, `commit=N` and `applied=N` on their disks; `joining`: they know of no group |
| `crash R` | ends a life; `wrote=N`: bundles up to N had reached the disk, unanswered |
| `restart R` | begins the next from the disk; `synced`: with the commit index of the last sync; \
`applied=N`: what the state machine kept |
| `timeout R N` | the timeouts drawn next are N ticks; else the shortest, and R - 1 more |

Time and wishes:

| command | what happens |
| --- | --- |
| `tick (R…)` | a tick passes; `x3`: three |
| `pause N R…` | clocks go on by N ticks of time, and no tick is counted |
| `campaign R` | ticks pass for R until its election timeout ends |
| `elect R (R…)` | R campaigns until it leads; only these replicas and their votes take part |
| `propose R DATA…` | `bytes=N`: each payload is filled up to N bytes |
| `change R voters=1..3` | as `Raft.propose_membership`; `learners=4` |
| `read R CONTEXT…` | as `Raft.read_index` |
| `transfer R TO` | as `Raft.transfer_leadership` |
| `wake R` | as `Raft.wake`; `silent=N` |

The host of a replica:

| command | what happens |
| --- | --- |
| `ready R…` | takes a bundle of each, sends what may go at once |
| `persist R…` | what is under way is persisted, and its messages sent; `bundle=N`: up to bundle N |
| `apply R…` | what was handed out as committed is applied; `through=N`: up to index N |
| `compact R N` | the log is cut at its beginning, up to index N |

The network. MESSAGES are those under way that fit `1->2` (or `1->*`, `*->2,3`) and a kind; `x1`:
the first of them, `x1 last`: the last, `reversed`: in reverse. The kinds are prevote, vote, append
and heartbeat, each with an answer such as vote-reply, snapshot and timeout-now.

| command | what happens |
| --- | --- |
| `network` | prints what is under way, in the order in which it was sent |
| `deliver MESSAGES` | hands them over |
| `drop MESSAGES` | loses them |
| `fail MESSAGES` | loses snapshots, and tells their senders (`Raft.report_snapshot_failed`) |
| `duplicate MESSAGES` | puts a copy behind all others |
| `postpone MESSAGES` | puts them behind all others |
| `cut R…`, `cut 1->2` | cuts them off from all others, or one way: what is sent meanwhile is \
lost, what was under way waits |
| `heal` | ends all cuts |

All of it:

| command | what happens |
| --- | --- |
| `status (R…)` | prints role, term, vote, log, positions, and for a leader its followers |
| `stabilize (R…)` | persists, applies and delivers among them until nothing is left |
| `elapse N (R…)` | N times: a tick for each, then stabilize |
| `silently COMMAND` | does it and prints nothing |
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from tests.raft.script_commands import Commands
from tests.raft.script_file import Script, ScriptError, Step, read_script

REWRITE = "KVSTORE_REWRITE_SCRIPTS"


def run_script(path: Path) -> None:
    """Runs the script and compares, or writes anew what it says. Raises AssertionError with the
    file, the line, the command, what was expected and what was printed."""
    script = read_script(path)
    commands = Commands()
    outputs: list[list[str]] = []
    rewrite = bool(os.environ.get(REWRITE))
    for step in script.steps:
        try:
            printed = commands.run(step.text)
        except (ScriptError, AssertionError) as error:
            raise AssertionError(f"{path.name}:{step.line}: > {step.text}\n{error}") from error
        outputs.append(printed)
        if not rewrite and printed != step.expected:
            raise AssertionError(_difference(path, step, printed))
    if rewrite:
        _write(script, outputs)


def _difference(path: Path, step: Step, printed: list[str]) -> str:
    lines = difflib.unified_diff(
        step.expected, printed, "expected", "printed", n=max(len(printed), 3), lineterm=""
    )
    return (
        f"{path.name}:{step.line}: > {step.text}\n"
        + "\n".join(lines)
        + f"\nIf this is as it should be: {REWRITE}=1 pytest {path.parent.parent.name}"
    )


def _write(script: Script, outputs: list[list[str]]) -> None:
    text = script.rendered(outputs)
    if text != script.path.read_text(encoding="utf-8"):
        script.path.write_text(text, encoding="utf-8")
