"""
The node types for safety (virus-scan, http-get, run, encrypt, decrypt): what must not pass, and where they
must not reach.
"""

import hashlib
import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import archives, batch, house

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

# In two halves, so that no scanner stumbles over this file.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD" + rb"-ANTIVIRUS-TEST-FILE!$H+H*"
SIGNATURES = f"{hashlib.md5(EICAR).hexdigest()}:{len(EICAR)}:Eicar-Test\n".encode()

# ── Viruses ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _scan(file: bytes, database: bytes = SIGNATURES, **flags: str) -> batch.Case:
    return batch.Case(inputs={"file": file, "database": database}, flags=flags)


def test_what_is_infected_or_not_looked_at_whole_does_not_pass(tmp_path: Path) -> None:
    cases = {
        "clean": _scan(b"nothing to see"),
        "virus": _scan(EICAR),
        "in a zip": _scan(archives.zipped({"a/b.com": EICAR})),
        "in a zip in a zip": _scan(archives.zipped({"b.zip": archives.zipped({"b.com": EICAR})})),
        "encrypted": _scan(archives.zip_encrypted()),
        "too large": _scan(bytes(1_100_000), max_scan_mb="1"),
        "database in a tar": _scan(EICAR, archives.tarred(("signatures/own.hdb", SIGNATURES))),
        "database that climbs": _scan(EICAR, archives.tarred(("../../own.hdb", SIGNATURES))),
        "no signatures": batch.Case(inputs={"file": b"nothing to see"}),
    }
    outcomes = batch.run("virus-scan", tmp_path, cases)
    codes = {name: outcome.exit_code for name, outcome in outcomes.items()}
    assert codes == {"clean": 0, "no signatures": 64} | {
        name: 65 for name in cases if name not in ("clean", "no signatures")
    }
    assert {name for name, outcome in outcomes.items() if "clean" in outcome.files} == {"clean"}
    assert "there are no signatures" in outcomes["no signatures"].complaint
    assert "could not be looked at whole" in outcomes["encrypted"].complaint
    for name in ("virus", "in a zip", "in a zip in a zip", "database in a tar"):
        assert "infected: Eicar-Test" in outcomes[name].complaint, name


def test_a_report_tells_and_passes_nothing_on(tmp_path: Path) -> None:
    outcome = batch.run("virus-scan", tmp_path, {"virus": _scan(EICAR, infected="report")})["virus"]
    assert (outcome.exit_code, list(outcome.files)) == (0, ["report"])
    told = json.loads(outcome.file("report"))
    assert (told["verdict"], told["found"]) == ("infected", "Eicar-Test.UNOFFICIAL")


# ── The web ──────────────────────────────────────────────────────────────────────────────────────────────────────

NOT_PUBLIC = [
    "http://127.0.0.1/",
    "http://localhost/",
    "http://0/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://127.1/",
    "http://10.0.0.1/",
    "http://172.17.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[fe80::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fc00::1]/",
]
NOT_FETCHED = [
    "file:///etc/passwd",
    "ftp://example.org/",
    "gopher://example.org/",
    "http://user@93.184.215.14/",
    "http://93.184.215.14:22/",
    "http://93.184.215.14\\@127.0.0.1/",
    "//example.org/",
    "http://",
]


def test_no_address_is_asked_that_is_not_public(tmp_path: Path) -> None:
    urls = [*NOT_PUBLIC, *NOT_FETCHED]
    outcomes = batch.run("http-get", tmp_path, {url: batch.Case(inputs={}, flags={"url": url}) for url in urls})
    assert {url: outcome.complaint for url, outcome in outcomes.items() if outcome.exit_code != 65} == {}
    assert {url for url in NOT_PUBLIC if "not a public address" not in outcomes[url].complaint} == set()


PUBLIC = "93.184.215.14"
SERVER = f"""
import fcntl, http.server, socket, struct, time
name = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
at = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton("{PUBLIC}"))
fcntl.ioctl(name, 0x8916, at)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        where = {{"/away": "http://169.254.169.254/", "/round": "/round", "/once": "/file", "/file-url": "file:///etc/passwd"}}
        if self.path in where:
            self.send_response(302); self.send_header("Location", where[self.path]); self.end_headers(); return
        if self.path.startswith("/code"):
            self.send_error(int(self.path[5:])); return
        self.send_response(200)
        if self.path == "/short": self.send_header("Content-Length", "100")
        if self.path == "/large": self.send_header("Content-Length", "99999999")
        self.end_headers()
        for _ in range(200 if self.path in ("/endless", "/slow") else 1):
            self.wfile.write(b"file" if self.path != "/endless" else bytes(1000))
            if self.path == "/slow": self.wfile.flush(); time.sleep(0.2)
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("{PUBLIC}", 80), Answer)
print("ready", flush=True)
server.serve_forever()
"""


@pytest.fixture
def web() -> Iterator[str]:
    """A container in a network of its own, in which a public address is a server of ours."""
    name = f"pupload-house-web-{uuid.uuid4().hex[:8]}"
    order = ["docker", "run", "--rm", "--name", name, "--network", "none", "--user", "0:0", "--cap-add", "NET_ADMIN"]
    server = [house.image("http-get"), "-c", SERVER]
    with subprocess.Popen([*order, "--entrypoint", "python3", *server], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        yield name
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)


FETCHED = {
    "/file": (0, "4 bytes"),
    "/file?token=secret": (0, "4 bytes"),
    "/once": (0, "4 bytes"),
    "/away": (65, "not a public address"),
    "/file-url": (65, "only http:// and https://"),
    "/round": (65, "more than 5 redirects"),
    "/code404": (65, "answers 404"),
    "/code503": (70, "answers 503"),
    "/short": (70, "broke off"),
    "/large": (65, "larger than 100000 bytes"),
    "/endless": (65, "larger than 100000 bytes"),
    "/slow": (70, "flag seconds"),
}


def test_a_file_is_fetched_within_its_limits_and_a_redirect_is_judged_as_a_url_is(web: str) -> None:
    loop = "".join(
        f"FLAG_URL='http://{PUBLIC}{path}' http-get 2>&1; echo \"code=$? left=$(ls /tmp)\"; rm -f /tmp/file; echo; "
        for path in FETCHED
    )
    flags = ["--env", "OUTPUT_FILE=/tmp/file", "--env", "FLAG_MAX_BYTES=100000", "--env", "FLAG_SECONDS=4"]
    order = [
        "docker",
        "run",
        "--rm",
        "--network",
        f"container:{web}",
        "--read-only",
        "--tmpfs",
        "/tmp:mode=1777",
        *flags,
    ]
    ended = subprocess.run(
        [*order, "--entrypoint", "sh", house.image("http-get"), "-c", loop], capture_output=True, text=True, check=True
    )
    told = dict(zip(FETCHED, ended.stdout.split("\n\n"), strict=False))
    for path, (code, says) in FETCHED.items():
        assert f"code={code} left={'file' if code == 0 else ''}" in told[path], told[path]
        assert says in told[path]
    assert "secret" not in ended.stdout


# ── Lines of shell ───────────────────────────────────────────────────────────────────────────────────────────────
# That there are none until an operator allows them: tests/system/test_run_allowed.py.


def test_a_line_has_no_rights_whatever_image_it_is_run_in(tmp_path: Path) -> None:
    line = "id -u; touch /x /etc/x $HOME/x; ls /sys/class/net; exit 7"
    for image in ("pupload/run:latest", "pupload/base:bookworm"):
        outcome = house.run("run", tmp_path, {}, flags={"line": f"set +e; {line}", "image": image})
        assert (outcome.exit_code, [said.message for said in outcome.said]) == (7, ["65534", "lo"])
        assert outcome.complaint.count("Read-only file system") == 2


# ── Encryption ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_encrypted_comes_back_with_the_passphrase_and_not_with_another(tmp_path: Path) -> None:
    flags, data = {"passphrase": "${secret.P}"}, bytes(range(256)) * 100
    locked = house.run("encrypt", tmp_path, {"file": data}, flags=flags, secrets={"P": "pass: phräse $1"})
    assert (locked.exit_code, locked.complaint) == (0, "")
    given = {"encrypted": locked.file("encrypted")}
    assert house.run("decrypt", tmp_path, given, flags=flags, secrets={"P": "pass: phräse $1\n"}).file("file") == data
    wrong = house.run("decrypt", tmp_path, given, flags=flags, secrets={"P": "another one"})
    assert (wrong.exit_code, wrong.files, "incorrect passphrase" in wrong.complaint) == (65, {}, True)


def test_a_damaged_file_gives_nothing(tmp_path: Path) -> None:
    data = bytearray((house.FOLDERS / "decrypt/sample/words.age").read_bytes())
    data[-1] ^= 1
    flags, secrets = {"passphrase": "${secret.P}"}, {"P": "correct horse battery staple"}
    outcome = house.run("decrypt", tmp_path, {"encrypted": bytes(data)}, flags=flags, secrets=secrets)
    assert (outcome.exit_code, outcome.files) == (65, {})


@pytest.mark.parametrize("recipients", ["age1yubikey1q2w3e4r", "/etc/passwd", "-o/tmp/x", "github:somebody", ""])
def test_only_keys_are_recipients(tmp_path: Path, recipients: str) -> None:
    cases = {"one": batch.Case(inputs={"file": b"x"}, flags={"recipients": recipients})}
    assert batch.run("encrypt", tmp_path, cases)["one"].exit_code == 64
