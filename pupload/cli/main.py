# ruff: noqa: PLC0415 - a command's module is imported when the command is given, so that `pup --help` is there at once
"""
The words of `pup`: its commands, their arguments, and how they end.

Exit codes: 0 all well, 1 failed or invalid, 2 the command line is wrong, 3 not reachable, 130 interrupted.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pupload.cli import (
    approving,
    drawing,
    dry_running,
    entering,
    glancing,
    knowing,
    opening,
    ranking,
    sourcing,
    tabling,
    timing,
)
from pupload.cli.words import Json, Url
from pupload.cli.words import out as _out
from pupload.cli.words import url as _url

app = typer.Typer(
    name="pup",
    help="Runs flows of containers on files.\n\nExit codes: 0 all well, 1 failed or invalid, 2 the command line is "
    "wrong, 3 a server cannot be reached, 130 interrupted.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
controllers = typer.Typer(help="The servers that the project knows; the first is the default.", no_args_is_help=True)
nodes = typer.Typer(help="Node types.", no_args_is_help=True)
policies = typer.Typer(help="What the operator lets nodes have.", no_args_is_help=True)
callbacks = typer.Typer(help="Who is told that a run is over.", no_args_is_help=True)
app.add_typer(controllers, name="controller")
app.add_typer(nodes, name="node")
app.add_typer(policies, name="policy")
secrets = typer.Typer(help="Secrets on a server, which flows name and nobody reads.", no_args_is_help=True)
app.add_typer(secrets, name="secret")
app.add_typer(callbacks, name="callback")
app.add_typer(sourcing.flows, name="flow")
app.add_typer(timing.schedules, name="schedule")
app.add_typer(opening.credentials, name="credential")
app.add_typer(drawing.drawings, name="drawing")
app.add_typer(knowing.facts, name="fact")
app.add_typer(entering.accounts, name="account")
app.add_typer(entering.keys, name="key")
app.command()(entering.login)
app.command()(entering.logout)
app.command()(timing.backfill)
app.command()(ranking.queue)
app.command()(approving.approve)
app.command()(approving.ask)
app.command(context_settings={"ignore_unknown_options": True})(ranking.priority)  # -5 is a number
app.command("dry-run")(dry_running.dry_run)
app.command()(tabling.preview)
app.command()(tabling.profile)
for _command in glancing.COMMANDS:
    app.command()(_command)

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.", show_default=False)]
Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="The data folder. [default: pupload-data]")]
Host = Annotated[str | None, typer.Option("--host", help="The address to listen on. [default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option("--port", help="The port; 0 takes a free one. [default: 1234]")]
StorePort = Annotated[
    int | None, typer.Option("--store-port", help="The embedded store's port. [default: one above --port]")
]
Insecure = Annotated[
    bool | None,
    typer.Option("--insecure", help="Let whoever comes do everything while there are no accounts.", show_default=False),
]


def main() -> None:
    """The entry point: runs a command and exits."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Carries out a command line. Returns the exit code; what went wrong is one line on stderr."""
    from pupload import errors
    from pupload.cli import failures

    try:
        code = typer.main.get_command(app).main(arguments, prog_name="pup", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted")
        return failures.INTERRUPTED
    except errors.PuploadError as error:
        _fail(failures.sentence_of(error))
        return failures.code_of(error)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the output has had enough
        return failures.OK
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        if sentence := error.format_message():
            _fail(sentence)
        return failures.USAGE
    if code == failures.INTERRUPTED:
        _fail("interrupted")
    return code if isinstance(code, int) else failures.OK


def _fail(sentence: str) -> None:
    from pupload.cli.output import Output

    Output().fail(sentence)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"pup {version('pupload')}\n")
        raise typer.Exit


@app.callback()
def _pup(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="The token to show the server, in place of the login's."),
    ] = None,
) -> None:
    if token_file is not None:
        from pupload.cli import logins

        logins.TOKEN_FILE.set(token_file)


# ── A project ────────────────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def init(
    name: Annotated[
        str | None, typer.Argument(help="The new folder; without it, this one.", show_default=False)
    ] = None,
    wanted: Annotated[
        list[str] | None,
        typer.Option("--template", "-t", metavar="NAME", help="A flow to start from. Once for each."),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Only list the flows that there are to start from.")] = False,
    as_json: Json = False,
) -> int:
    """Make a project: a folder with flows that work. At a terminal it asks which; else a picture and a text flow."""
    from pupload.cli import authoring

    if listed:
        return authoring.list_templates(_out(as_json))
    return authoring.init(_out(as_json), name, wanted=wanted or [], start=Path.cwd())


@app.command()
def validate(
    flow: Annotated[
        str | None, typer.Argument(help="A flow's name; without it, all of them.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> int:
    """Say what is wrong with the project's flows, with file and line. Needs no server."""
    from pupload.cli import authoring

    return authoring.validate(_out(as_json), flow, start=Path.cwd())


@app.command("test")
def try_flow(
    flow: Annotated[str, typer.Argument(help="A flow's name.", show_default=False)],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", "-i", metavar="EDGE=PATH", help="A file for an edge. Once for each.", show_default=False
        ),
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option(
            "--param", "-p", metavar="NAME=VALUE", help="A value for a parameter. Once for each.", show_default=False
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the results are put.")] = Path(
        "results"
    ),
    every: Annotated[bool, typer.Option("--all", help="Bring what nodes pass to each other as well.")] = False,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Run a flow on files and bring the results here. Starts a server for the time where none answers."""
    from pupload.cli import trial

    return trial.test(
        _out(as_json),
        flow,
        inputs=inputs or [],
        params=params or [],
        into=output,
        every=every,
        address=_url(url),
        start=Path.cwd(),
    )


@app.command()
def push(
    controller: Annotated[
        str | None, typer.Argument(help="A controller's name, or an address.", show_default=False)
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Store the project on a server, in place of what was there."""
    from pupload.cli import authoring

    return authoring.push(_out(as_json), _url(controller or url).url, start=Path.cwd())


@controllers.command("add")
def controller_add(
    name: Annotated[str, typer.Argument(show_default=False)],
    url: Annotated[str, typer.Argument(show_default=False)],
    as_json: Json = False,
) -> int:
    """Make a server known to the project."""
    from pupload.cli import authoring

    return authoring.add_controller(_out(as_json), name, url, start=Path.cwd())


@controllers.command("list")
def controller_list(as_json: Json = False) -> int:
    """List the servers that the project knows."""
    from pupload.cli import authoring

    return authoring.list_controllers(_out(as_json), start=Path.cwd())


@controllers.command("remove")
def controller_remove(name: Annotated[str, typer.Argument(show_default=False)], as_json: Json = False) -> int:
    """Make the project forget a server."""
    from pupload.cli import authoring

    return authoring.remove_controller(_out(as_json), name, start=Path.cwd())


@nodes.command("list")
def node_list(as_json: Json = False) -> int:
    """List the node types that flows can use: the project's, and those that ship with pupload."""
    from pupload.cli import nodetypes

    return nodetypes.show(_out(as_json), start=Path.cwd())


@nodes.command("build")
def node_build(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="`publisher/` left out means pupload's.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them, as without a name.")] = False,
    as_json: Json = False,
) -> int:
    """Build the images of node types that come with a Dockerfile."""
    from pupload.cli import nodetypes

    return nodetypes.build(_out(as_json), [] if every else names or [], start=Path.cwd())


@nodes.command("test")
def node_test(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="`publisher/` left out means pupload's.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that have samples.")] = False,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Run the samples of node types for real, and compare what comes of them. Starts a server where none answers."""
    from pupload.cli import sampling

    return sampling.test(_out(as_json), names or [], every=every, address=_url(url), start=Path.cwd())


# ── A server ─────────────────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def dev(
    host: Host = None,
    port: Port = None,
    store_port: StorePort = None,
    data: Data = None,
    insecure: Insecure = None,
    as_json: Json = False,
) -> int:
    """Run a server here, everything in one command: for trying and developing flows."""
    from pupload.cli import serving

    given = {"host": host, "port": port, "store_port": store_port, "data": data, "insecure": insecure}
    return serving.serve(_out(as_json), dev=True, start=Path.cwd(), **given)


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    store_port: StorePort = None,
    data: Data = None,
    insecure: Insecure = None,
    as_json: Json = False,
) -> int:
    """
    Run a server for others: as `dev`, but what does not fit the machine is refused.

    With a --host that others reach it needs an account first (`pup account setup --here`), or --insecure.
    """
    from pupload.cli import serving

    given = {"host": host, "port": port, "store_port": store_port, "data": data, "insecure": insecure}
    return serving.serve(_out(as_json), dev=False, start=Path.cwd(), **given)


@app.command()
def doctor(data: Data = None, as_json: Json = False) -> int:
    """Try everything a server needs: each line is ok, or warns, or is BAD and says how to mend it."""
    from pupload.cli import serving

    return serving.doctor(_out(as_json), data=data)


# ── Secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────

SecretName = Annotated[str, typer.Argument(metavar="NAME", help="What flows call it.", show_default=False)]


@secrets.command("set")
def secret_set(name: SecretName, url: Url = "", as_json: Json = False) -> int:
    """Set a secret: its value is asked for, or read from stdin (one newline at its end is left out)."""
    from pupload.cli import secrets

    return secrets.put(_out(as_json), _url(url).url, name)


@secrets.command("list")
def secret_list(url: Url = "", as_json: Json = False) -> int:
    """List the names of the secrets, and when each was set."""
    from pupload.cli import secrets

    return secrets.listing(_out(as_json), _url(url).url)


@secrets.command("remove")
def secret_remove(name: SecretName, url: Url = "", as_json: Json = False) -> int:
    """Remove a secret."""
    from pupload.cli import secrets

    return secrets.remove(_out(as_json), _url(url).url, name)


@secrets.command("rotate")
def secret_rotate(
    keep_key: Annotated[
        bool, typer.Option("--keep-key", help="Make no new key: take the first that the file holds now.")
    ] = False,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Encrypt all that the server keeps secret anew, with a new key."""
    from pupload.cli import secrets

    return secrets.rotate(_out(as_json), _url(url).url, new_key=not keep_key)


@policies.command("check")
def policy_check(
    file: Annotated[Path, typer.Argument(help="The policy file.", show_default=False)], as_json: Json = False
) -> int:
    """Say whether a file can be used as the policy; if not, why, with the line. Needs no server."""
    from pupload.cli import policies

    return policies.check(_out(as_json), file)


@policies.command("show")
def policy_show(as_json: Json = False) -> int:
    """Print the policy that a server with these settings has, what is not said included. Needs no server."""
    from pupload.cli import policies

    return policies.show(_out(as_json))


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def status(run_id: RunId, url: Url = "", as_json: Json = False) -> int:
    """Show a run."""
    from pupload.cli import runs

    return runs.status(_out(as_json), _url(url).url, run_id)


@app.command()
def logs(
    run_id: RunId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    node: Annotated[str, typer.Option("--node", help="Only this node's lines.")] = "",
    attempt: Annotated[int, typer.Option("--attempt", min=0, help="Only this attempt's lines; 0: all.")] = 0,
    since: Annotated[int, typer.Option("--since", min=0, help="Only lines after this cursor.")] = 0,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Print what a run's nodes wrote. With --json, one object in each line."""
    from pupload.cli import runs

    return runs.logs(_out(as_json), _url(url).url, run_id, node=node, attempt=attempt, since=since, follow=follow)


@app.command()
def events(
    flow: Annotated[str, typer.Option("--flow", help="Only of runs of this flow, by name or id.")] = "",
    run: Annotated[str, typer.Option("--run", help="Only of this run.")] = "",
    logs: Annotated[bool, typer.Option("--logs", help="The lines that nodes write, too.")] = False,
    after: Annotated[str, typer.Option("--after", help="Go on after the event of this ID, as --json tells it.")] = "",
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Print what happens in all runs, as it happens, until interrupted. With --json, one object in each line."""
    from pupload.cli import watching

    return watching.events(_out(as_json), _url(url).url, flow=flow, run=run, logs=logs, after=after)


@app.command()
def cancel(
    run_id: RunId,
    drain: Annotated[bool, typer.Option("--drain", help="Let what runs finish; start nothing.")] = False,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Stop a run."""
    from pupload.cli import runs

    return runs.cancel(_out(as_json), _url(url).url, run_id, drain=drain)


@app.command()
def why(
    run_id: RunId,
    node: Annotated[str, typer.Argument(metavar="NODE", help="A node of the run.", show_default=False)],
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Tell why a node ran, or why it did not have to: whether the same work was done before, and what was otherwise."""
    from pupload.cli import runs

    return runs.why(_out(as_json), _url(url).url, run_id, node)


@app.command()
def resume(
    run_id: RunId,
    from_node: Annotated[
        str | None, typer.Option("--from", metavar="NODE", help="Run this node and all behind it again.")
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Go on where a failed or stopped run ended, in a new run."""
    from pupload.cli import runs

    return runs.resume(_out(as_json), _url(url).url, run_id, from_node=from_node)


@app.command()
def replay(
    run_id: RunId,
    from_nodes: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="NODE", help="Run this node and all behind it. Once for each."),
    ] = None,
    flags: Annotated[
        list[str] | None,
        typer.Option("--flag", metavar="NODE.FLAG=VALUE", help="Another value for a node's flag. Once for each."),
    ] = None,
    parts: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NODE.KEY=VALUE",
            help="Another Image, Command, Tier, Timeout, MaxAttempts, User, Network, Transfer or Progress in the "
            "definition that the node uses. Once for each.",
        ),
    ] = None,
    brief: Annotated[bool, typer.Option("--brief", help="Tell sizes, times and hashes only; fetch nothing.")] = False,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Run an ended run's flow again with changes, only what they concern, and tell old beside new."""
    from pupload.cli import replaying

    return replaying.replay(
        *(_out(as_json), _url(url).url, run_id),
        from_nodes=from_nodes or [],
        flags=flags or [],
        parts=parts or [],
        brief=brief,
    )


@callbacks.command("list")
def callback_list(run_id: RunId, url: Url = "", as_json: Json = False) -> int:
    """Show who was told that a run is over, and who could not be."""
    from pupload.cli import runs

    return runs.callbacks(_out(as_json), _url(url).url, run_id)


@callbacks.command("resend")
def callback_resend(
    run_id: RunId,
    delivery: Annotated[str, typer.Argument(help="Its id, msg_...", show_default=False)],
    url: Url = "",
    as_json: Json = False,
) -> int:
    """Send a callback again at once, whatever became of it."""
    from pupload.cli import runs

    return runs.resend(_out(as_json), _url(url).url, run_id, delivery)


@app.command("list")
def list_(
    status: Annotated[str, typer.Option("--status", help="Only runs with this status.")] = "",
    flow: Annotated[str, typer.Option("--flow", help="Only runs of this flow.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="So many at most.")] = 20,
    saved: Annotated[str, typer.Option("--saved", help="Only runs of this saved flow, by name or id.")] = "",
    offset: Annotated[int, typer.Option("--offset", min=0, help="How many to pass over.")] = 0,
    url: Url = "",
    as_json: Json = False,
) -> int:
    """List runs, newest first."""
    from pupload.cli import runs

    which = {"status": status, "flow": flow, "saved": saved, "limit": limit, "offset": offset}
    return runs.listing(_out(as_json), _url(url).url, **which)
