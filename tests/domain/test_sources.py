"""Which files of a source matter, what their flows are called, and what the operator may say of sources."""

from typing import Any

import pytest

from pupload.domain import sourcefile, sources
from pupload.domain.sources import Kind, Problem, Source

PLAIN = [
    *("daily.yaml", "backup/daily.yml", "backup/deep/er/weekly.json", "README.md", ".ci/build.yaml", "a/.hidden.yaml"),
    *("nodes/acme/dump/node.yaml", "nodes/acme/dump/sample.yaml", "node_defs/copy.yaml", "tasks/x.yml", "nodes/y.yaml"),
]
PROJECT = ["pup.yaml", "flows/daily.yaml", "flows/backup/weekly.yaml", "other/stray.yaml", "compose.yaml", *PLAIN[6:9]]


def test_in_a_plain_tree_every_document_may_be_a_flow() -> None:
    assert sources.pick(PLAIN) == sorted([*PLAIN[:3], PLAIN[6], PLAIN[8], PLAIN[9]])
    names = {path: sources.name_of(path, project=False) for path in PLAIN[:3]}
    assert list(names.values()) == ["daily", "backup/daily", "backup/deep/er/weekly"]


def test_a_project_has_its_flows_in_their_folder() -> None:
    assert sources.pick(PROJECT) == sorted([*PROJECT[:3], PLAIN[6], PLAIN[8]])
    assert sources.name_of("flows/backup/weekly.yaml", project=True) == "backup/weekly"
    assert sources.name_of("flows/daily.yaml", project=True) == "daily"
    assert sources.name_of("other/stray.yaml", project=True) is None


def a_source(**more: Any) -> Source:
    return Source(**{"name": "local", "type": Kind.FS, "path": "/flows", **more})


@pytest.mark.parametrize(
    ("namespace", "name", "full"),
    [
        ("", "daily", "default/daily"),
        ("", "backup/daily", "backup/daily"),
        ("", "a/b/c", "a/b/c"),
        ("team", "daily", "team/daily"),
        ("team/a", "backup/daily", "team/a/backup/daily"),
    ],
)
def test_the_folder_is_the_namespace(namespace: str, name: str, full: str) -> None:
    assert sources.full_name(a_source(namespace=namespace), name) == full


@pytest.mark.parametrize(
    ("full", "path", "project", "is_so"),
    [
        ("backup/daily", "backup/daily.yaml", False, True),
        ("backup/daily", "backup/daily.json", False, True),
        ("backup/daily", "backup", False, True),
        ("backup/daily", "", False, True),
        ("backup/daily", "backup/dail.yaml", False, False),
        ("backup/daily", "back", False, False),
        ("default/daily", "daily.yaml", False, True),
        ("default/daily", "default/daily.yaml", False, True),
        ("backup/daily", "flows/backup/daily.yaml", True, True),
        ("backup/daily", "flows", True, True),
        ("backup/daily", "nodes/a/b/node.yaml", True, False),
    ],
)
def test_what_cannot_be_read_concerns_the_flows_below_it(full: str, path: str, project: bool, is_so: bool) -> None:
    assert sources.concerned(a_source(), full, [path], project=project) is is_so
    if not project and full != "default/daily":
        below = a_source(namespace="team/a")
        assert sources.concerned(below, f"team/a/{full}", [path], project=project) is is_so


def test_of_a_project_only_its_own_folders_are_told_of() -> None:
    found = [Problem(path=path, text="") for path in ("venv/lib", "flows/b", "", "flows/a", "nodes/x")]
    assert [each.path for each in sources.relevant(found, project=True)] == ["", "flows/a", "flows/b", "nodes/x"]
    assert len(sources.relevant(found, project=False)) == 5


# ── The operator's file ──────────────────────────────────────────────────────────────────────────────────────────

GIT = {"Name": "team", "Type": "git", "Path": "https://git.example.org/team/flows.git"}
FOLDER = {"Name": "local-fs", "Type": "fs", "Path": "/srv/flows"}


def test_all_that_can_be_said_of_sources_is_read() -> None:
    whole = {**GIT, "Ref": "v1.2", "Folder": "/a/b/", "Namespace": "/x/y", "Interval": "5m", "Secret": "git-token"}
    assert sourcefile.read({"Sources": [FOLDER, whole]}) == (
        Source(name="local-fs", type=Kind.FS, path="/srv/flows"),
        Source(
            name="team",
            type=Kind.GIT,
            path=GIT["Path"],
            ref="v1.2",
            folder="a/b",
            namespace="x/y",
            interval_seconds=300.0,
            secret="git-token",
        ),
    )
    assert sourcefile.read(None) == sourcefile.read({}) == sourcefile.read({"Sources": None}) == ()
    assert set(whole) == set(sourcefile.FIELDS)


@pytest.mark.parametrize(
    "path",
    [
        "https://git.example.org/flows.git",
        "https://anna@git.example.org:8443/flows",
        "ssh://git@git.example.org/flows.git",
        "git@git.example.org:team/flows.git",
        "file:///srv/flows.git",
        "/srv/flows.git",
        "http://127.0.0.1:3000/flows.git",
    ],
)
def test_a_repository_may_be_there(path: str) -> None:
    assert sourcefile.read({"Sources": [{**GIT, "Path": path}]})[0].path == path


@pytest.mark.parametrize(
    ("entry", "place", "said"),
    [
        ({**GIT, "Path": "https://anna:hunter22@git.example.org/x"}, "/Path", "has a password"),
        ({**GIT, "Path": "http://git.example.org/x"}, "/Path", "https, ssh or file"),
        ({**GIT, "Path": "ext::sh -c touch% /tmp/x"}, "/Path", "https, ssh or file"),
        ({**GIT, "Path": "--upload-pack=touch"}, "/Path", "https, ssh or file"),
        ({**GIT, "Path": "ssh://-oProxyCommand=touch/x"}, "/Path", "https, ssh or file"),
        ({**GIT, "Path": "-oProxyCommand=x@host:path"}, "/Path", "https, ssh or file"),
        ({**GIT, "Path": "-x@host:path"}, "/Path", "https, ssh or file"),
        ({**GIT, "Path": "a@-x:path"}, "/Path", "https, ssh or file"),
        ({**GIT, "Path": "file://other/x"}, "/Path", "file:///"),
        ({**GIT, "Path": "https://git.example.org/x?y=z"}, "/Path", "no query"),
        ({**GIT, "Path": "https://[::1/x"}, "/Path", "no URL"),
        ({**GIT, "Path": "/srv/flows\n"}, "/Path", "control characters"),
        ({**GIT, "Ref": "--all"}, "/Ref", "a branch"),
        ({**GIT, "Ref": "a..b"}, "/Ref", "a branch"),
        ({**GIT, "Ref": "main:x"}, "/Ref", "a branch"),
        ({**GIT, "Folder": "a/../../b"}, "/Folder", "without '..'"),
        ({**GIT, "Namespace": "a b"}, "/Namespace", "no name"),
        ({**GIT, "Interval": "0.5s"}, "/Interval", "1 s or more"),
        ({**GIT, "Interval": "often"}, "/Interval", "duration"),
        ({**GIT, "Interval": 60}, "/Interval", "must be a text"),
        ({**GIT, "Secret": "a b"}, "/Secret", "name of a secret"),
        ({**GIT, "Path": "git@git.example.org:x", "Secret": "token"}, "/Secret", "https"),
        ({**GIT, "Name": "api"}, "/Name", "not api"),
        ({**GIT, "Name": "a/b"}, "/Name", "letters"),
        ({**GIT, "Type": "oci"}, "/Type", "fs or git"),
        ({**GIT, "Branch": "main"}, "/Branch", "no field"),
        ({"Name": "x", "Type": "git"}, "", "needs Path"),
        ({**FOLDER, "Path": "flows"}, "/Path", "absolute"),
        ({**FOLDER, "Ref": "main"}, "/Ref", "of type git"),
        ("flows", "", "an object"),
    ],
)
def test_what_no_source_can_be_is_told_with_its_place(entry: Any, place: str, said: str) -> None:
    with pytest.raises(sourcefile.Wrong) as caught:
        sourcefile.read({"Sources": [FOLDER, entry]})
    assert caught.value.pointer == f"/Sources/1{place}"
    assert said in str(caught.value)
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "a list, and nothing else"),
        ({"Source": []}, "nothing else"),
        ({"Sources": {}}, ""),
        ({"Sources": "x"}, "a list"),
        ({"Sources": [FOLDER] * 101}, "100 at most"),
        ({"Sources": [FOLDER, FOLDER]}, "two sources have the name local-fs"),
    ],
)
def test_a_file_holds_a_list_of_sources_and_nothing_else(document: Any, said: str) -> None:
    if document == {"Sources": {}}:
        assert sourcefile.read(document) == ()
        return
    with pytest.raises(sourcefile.Wrong, match=said):
        sourcefile.read(document)
