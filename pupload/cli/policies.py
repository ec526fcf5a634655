"""Commands about the operator's policy: check a file, show what holds. They need no server."""

from pathlib import Path

from pupload import errors, offline
from pupload.api import documents
from pupload.cli import failures, serving
from pupload.cli.output import Output
from pupload.domain import policyfile


def check(out: Output, path: Path) -> int:
    """Says whether the file is a policy; where it is none, the line and the reason."""
    try:
        policy = offline.read_policy(path)
    except errors.Misconfigured as error:
        if out.as_json:
            out.json({"valid": False, "error": str(error)})
        out.fail(str(error))
        return failures.FAILED
    if out.as_json:
        out.json({"valid": True, "policy": policyfile.write(policy)})
    out.say(f"{path} can be used; `pup policy show` with PUPLOAD_POLICY={path} prints what holds with it")
    return failures.OK


def show(out: Output) -> int:
    """Prints the policy that a server with these settings would have, as a file that says all of it."""
    document = policyfile.write(offline.policy(serving.settings()))
    if out.as_json:
        out.json(document)
    for line in documents.write_yaml(document).splitlines():
        out.say(line)
    return failures.OK
