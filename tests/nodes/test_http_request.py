"""The node type http-request against a server: what it sends, what it keeps, and what it takes nowhere else."""

import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.nodes import house

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

PUBLIC = "93.184.215.14"
SERVER = f"""
import fcntl, http.server, json, socket, struct, time
name = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(name, 0x8916, struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton("{PUBLIC}")))
class Answer(http.server.BaseHTTPRequestHandler):
    def answer(self):
        where = {{"/away": "http://other.example/", "/inside": "http://10.0.0.1/", "/round": "/round", "/seen": "/"}}
        if self.path in where:
            self.send_response(303 if self.path == "/seen" else 307)
            self.send_header("Location", where[self.path]); self.end_headers(); return
        if self.path.startswith("/code"):
            self.send_response(int(self.path[5:])); self.end_headers(); self.wfile.write(b"sorry"); return
        if self.path == "/slow": time.sleep(5)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        said = json.dumps({{"method": self.command, "path": self.path, "body": body,
                           "headers": {{each.lower(): value for each, value in self.headers.items()}}}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json"); self.end_headers()
        if self.command != "HEAD": self.wfile.write(said if self.path != "/large" else bytes(200000))
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("{PUBLIC}", 80), Answer)
print("ready", flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """A container in a network of its own, in which a public address is a server of ours."""
    name = f"pupload-house-web-{uuid.uuid4().hex[:8]}"
    order = ["docker", "run", "--rm", "--name", name, "--network", "none", "--user", "0:0", "--cap-add", "NET_ADMIN"]
    order += ["--add-host", f"shop.example:{PUBLIC}", "--add-host", f"other.example:{PUBLIC}"]
    server = [house.image("http-request"), "-c", SERVER]
    with subprocess.Popen([*order, "--entrypoint", "python3", *server], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        yield name
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)


def asked(web: str, given: Any = None, **flags: str) -> tuple[int, str, str]:
    """The exit code, what it says, and the body and status that it keeps, behind each other."""
    variables = {"OUTPUT_RESPONSE": "/tmp/response", "OUTPUT_STATUS": "/tmp/status"}
    variables |= {f"FLAG_{name.upper()}": value for name, value in flags.items()}
    variables |= {"INPUT_INPUT": "/given/input"} if given is not None else {}
    order = ["docker", "run", "--rm", "--interactive", "--network", f"container:{web}", "--read-only"]
    order += ["--tmpfs", "/tmp:mode=1777", "--tmpfs", "/given:mode=1777"]
    order += [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
    line = "cat >/given/input; printf 's3cret-token' >/given/secret; http-request-node >/tmp/said 2>&1; echo $?; "
    line += "cat /tmp/said; echo; echo --; cat /tmp/response /tmp/status 2>/dev/null || :"
    order += ["--entrypoint", "sh", house.image("http-request"), "-c", line]
    said = given if isinstance(given, str) else json.dumps(given)
    ended = subprocess.run(order, input=said if given is not None else "", capture_output=True, text=True, check=True)
    head, _, kept = ended.stdout.partition("\n--\n")
    code, _, words = head.partition("\n")
    return int(code), words, kept


def answered(kept: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What the server was asked, and what is told of its answer."""
    body, end = json.JSONDecoder().raw_decode(kept)
    return body, json.loads(kept[end:])


def test_what_is_asked_is_what_was_said(web: str) -> None:
    order = {"url": "http://shop.example/orders?page=2", "method": "put", "headers": {"X-Shop": "1"}, "body": {"n": 1}}
    code, words, kept = asked(web, order)
    assert code == 0, words
    seen, status = answered(kept)
    assert (seen["method"], seen["path"], json.loads(seen["body"])) == ("PUT", "/orders?page=2", {"n": 1})
    assert (seen["headers"]["x-shop"], seen["headers"]["content-type"]) == ("1", "application/json")
    assert (status["status"], status["headers"]["content-type"]) == (200, "application/json")
    assert "page=2" not in words
    assert "page" not in status["url"]


def test_a_flag_says_where_and_the_input_what(web: str) -> None:
    code, words, kept = asked(web, "plum", url="http://shop.example/", method="POST", authorization="/given/secret")
    assert code == 0, words
    seen, _ = answered(kept)
    assert (seen["body"], seen["headers"]["authorization"]) == ("plum", "s3cret-token")
    assert "s3cret" not in words


@pytest.mark.parametrize(
    ("path", "flags", "code", "words"),
    [
        ("/code404", {}, 65, "answers 404"),
        ("/code503", {}, 70, "answers 503"),
        ("/code404", {"fail_on_error": "false"}, 0, "404"),
        ("/large", {"max_bytes": "1000"}, 65, "larger than 1000 bytes"),
        ("/slow", {"timeout": "1"}, 70, "within the time of flag timeout"),
        ("/away", {}, 0, "307"),
        ("/inside", {"max_redirects": "3"}, 65, "not a public address"),
        ("/round", {"max_redirects": "3"}, 65, "more than 3 redirects"),
    ],
)
def test_an_answer_is_kept_or_refused(web: str, path: str, flags: dict[str, str], code: int, words: str) -> None:
    found, said, _ = asked(web, url=f"http://shop.example{path}", **flags)
    assert found == code, said
    assert words in said


def test_what_lets_in_goes_to_no_other_host(web: str) -> None:
    flags = {"max_redirects": "1", "authorization": "/given/secret", "headers": '{"Cookie": "a=b", "X-Shop": "1"}'}
    code, words, kept = asked(web, "plum", url="http://shop.example/away", method="POST", **flags)
    assert code == 0, words
    seen, status = answered(kept)
    assert (status["url"], seen["method"], seen["body"]) == ("http://other.example/", "POST", "plum")
    assert seen["headers"]["x-shop"] == "1"
    assert not {"authorization", "cookie"} & set(seen["headers"])
    _, _, kept = asked(web, "plum", url="http://shop.example/seen", method="POST", **flags)
    seen, _ = answered(kept)
    assert (seen["method"], seen["body"], seen["headers"]["authorization"]) == ("GET", "", "s3cret-token")
