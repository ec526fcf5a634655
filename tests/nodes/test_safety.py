"""
The node types for safety (virus-scan, http-get, run, encrypt, decrypt): what must not pass, and where they
must not reach.
"""

import hashlib
import json
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Mapping
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
import fcntl, http.server, socket, ssl, struct, subprocess, threading, time
name = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
at = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton("{PUBLIC}"))
fcntl.ioctl(name, 0x8916, at)
def openssl(line): subprocess.run(f"cd /tmp && openssl {{line}}", shell=True, check=True, capture_output=True)
key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
authority = "-subj '/CN=Of this test' -addext basicConstraints=critical,CA:TRUE"
openssl(f"req -x509 {{key}} -keyout ca.key -out ca.pem -days 2 {{authority}}")
openssl(f"req {{key}} -keyout own.key -out own.csr -subj /CN=files.example")
open("/tmp/names", "w").write("subjectAltName=DNS:files.example,DNS:more.example")
openssl("x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out own.pem")
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        where = {{"/away": "http://169.254.169.254/", "/round": "/round", "/once": "/file", "/file-url": "file:///etc/passwd",
                  "/to-https": "https://files.example/file", "/to-http": "http://more.example/file",
                  "/elsewhere": "https://more.example/file", "/stranger": "https://other.example/file",
                  "/inside": "https://inside.example/"}}
        if self.path in where:
            self.send_response(302); self.send_header("Location", where[self.path]); self.end_headers(); return
        if self.path.startswith("/code"):
            self.send_error(int(self.path[5:])); return
        if self.path == "/drip":
            for _ in range(200):
                self.wfile.write(b"HTTP/1.1"[:1]); time.sleep(0.2)
        self.send_response(200)
        if self.path == "/short": self.send_header("Content-Length", "100")
        if self.path == "/large": self.send_header("Content-Length", "99999999")
        self.end_headers()
        for _ in range(200 if self.path in ("/endless", "/slow") else 1):
            self.wfile.write(b"file" if self.path != "/endless" else bytes(1000))
            if self.path == "/slow": self.wfile.flush(); time.sleep(0.2)
    def log_message(self, *words): pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/own.pem", "/tmp/own.key")
class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *words): pass
class Secured(Server):
    # In the thread of the connection, so that who breaks off keeps nobody waiting.
    def finish_request(self, request, address):
        with context.wrap_socket(request, server_side=True) as wrapped: super().finish_request(wrapped, address)
plain, secured = Server(("{PUBLIC}", 80), Answer), Secured(("{PUBLIC}", 443), Answer)
silent = socket.create_server(("{PUBLIC}", 8443))
threading.Thread(target=secured.serve_forever, daemon=True).start()
print("ready", flush=True)
plain.serve_forever()
"""
NAMES = {
    **dict.fromkeys(("files.example", "more.example", "other.example"), PUBLIC),
    "inside.example": "10.0.0.1",
}


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """A container in a network of its own, in which a public address is a server of ours, with and without TLS."""
    name = f"pupload-house-web-{uuid.uuid4().hex[:8]}"
    order = ["docker", "run", "--rm", "--name", name, "--network", "none", "--user", "0:0", "--cap-add", "NET_ADMIN"]
    order += [part for host, address in NAMES.items() for part in ("--add-host", f"{host}:{address}")]
    server = [house.image("http-get"), "-c", SERVER]
    with subprocess.Popen([*order, "--entrypoint", "python3", *server], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        yield name
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)


def _fetched(web: str, urls: Iterable[str], *, authorities: str = "", **flags: str) -> dict[str, str]:
    """What was said of each URL, the exit code, and what it left in the folder of the output."""
    loop = "".join(
        f"FLAG_URL='{url}' http-get 2>&1; echo \"code=$? left=$(ls /tmp)\"; rm -f /tmp/file; echo; " for url in urls
    )
    given = {"OUTPUT_FILE": "/tmp/file", "FLAG_MAX_BYTES": "100000", "FLAG_SECONDS": "60"}
    given |= {f"FLAG_{name.upper()}": value for name, value in flags.items()}
    given |= {"INPUT_AUTHORITIES": "/given/authorities.pem"} if authorities else {}
    order = ["docker", "run", "--rm", "--interactive", "--network", f"container:{web}", "--read-only"]
    order += ["--tmpfs", "/tmp:mode=1777", "--tmpfs", "/given:mode=1777"]
    order += [part for name, value in given.items() for part in ("--env", f"{name}={value}")]
    order += ["--entrypoint", "sh", house.image("http-get"), "-c", f"cat >/given/authorities.pem; {loop}"]
    ended = subprocess.run(order, input=authorities, capture_output=True, text=True, check=True)
    return dict(zip(urls, ended.stdout.split("\n\n"), strict=False))


def _hold(told: dict[str, str], wanted: Mapping[str, tuple[int, str]], *, before: str) -> None:
    for path, (code, says) in wanted.items():
        assert f"code={code} left={'file' if code == 0 else ''}" in told[before + path], told[before + path]
        assert says in told[before + path]


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
}
NEVER = {
    "/slow": (70, "flag seconds"),
    "/drip": (70, "flag seconds"),
    ":8443/never": (70, "flag seconds"),
}


def test_a_file_is_fetched_within_its_limits_and_a_redirect_is_judged_as_a_url_is(web: str) -> None:
    told = _fetched(web, [f"http://{PUBLIC}{path}" for path in FETCHED])
    _hold(told, FETCHED, before=f"http://{PUBLIC}")
    assert "secret" not in "".join(told.values())


SECURED = {
    "/file": (0, "4 bytes"),
    "/once": (0, "4 bytes"),
    "/elsewhere": (0, "4 bytes from https://more.example/file"),
    "/to-http": (65, "files.example redirects from https to http://more.example/file"),
    "/stranger": (65, "other.example cannot prove who it is: Hostname mismatch"),
    "/inside": (65, "inside.example is 10.0.0.1, which is not a public address"),
    "/short": (70, "broke off"),
    "/large": (65, "larger than 100000 bytes"),
    "/endless": (65, "larger than 100000 bytes"),
}


def test_over_tls_an_authority_that_nobody_knows_is_refused_and_one_that_was_given_is_not(web: str) -> None:
    own = subprocess.check_output(["docker", "exec", web, "cat", "/tmp/ca.pem"], text=True)
    before = "https://files.example"
    told = _fetched(web, [before + path for path in SECURED], authorities=own)
    _hold(told, SECURED, before=before)
    stranger = _fetched(web, [before + "/file", "http://files.example/to-https", f"https://{PUBLIC}/file"])
    for said in stranger.values():
        assert "code=65 left=\n" in said + "\n"
        assert "cannot prove who it is" in said
        assert "input authorities" in said
    http_first = _fetched(web, ["http://files.example/to-https"], authorities=own)
    _hold(http_first, {"/to-https": (0, "4 bytes from https://files.example/file")}, before="http://files.example")
    known = _fetched(web, [before + "/to-http"], authorities=own, sha256=hashlib.sha256(b"file").hexdigest())
    _hold(known, {"/to-http": (0, "4 bytes")}, before=before)


@pytest.mark.parametrize("before", [f"http://{PUBLIC}", "https://files.example"])
def test_whatever_it_waits_for_it_waits_no_longer_than_it_was_told(web: str, before: str) -> None:
    """For a body, a header, an answer; behind https for a handshake."""
    own = subprocess.check_output(["docker", "exec", web, "cat", "/tmp/ca.pem"], text=True)
    told = _fetched(web, [before + path for path in NEVER], authorities=own, any_port="true", seconds="1")
    _hold(told, NEVER, before=before)


@pytest.mark.parametrize(
    "authorities", ["no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_authority_is_refused_before_anybody_is_asked(authorities: str, tmp_path: Path) -> None:
    case = batch.Case(inputs={"authorities": authorities.encode()}, flags={"url": "https://files.example/"})
    outcome = batch.run("http-get", tmp_path, {"": case})[""]
    assert (outcome.exit_code, outcome.files) == (65, {})
    assert "input authorities holds no certificates" in outcome.complaint


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
