"""
Tiny images for tests, made on the engine that is there: nothing is pulled.

`busybox()` gives one of two megabytes with a static busybox, a shell and nothing more. It is made once per engine and
found again by its name and a hash of its content.
"""

import functools
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.utils

BUSYBOX = "pupload-test/busybox:1"
_CONTENT = "pupload.test.content"


@functools.cache
def busybox() -> str:
    """The reference of an image with a busybox; made where the engine does not have it. Raises where none can be."""
    return make(BUSYBOX, busybox_tar(), changes=('CMD ["true"]', "ENV PATH=/bin"))


def with_volumes(reference: str, *places: str) -> str:
    """The image `reference` with a busybox, which declares these places to be writable."""
    volumes = [f"VOLUME {place}" for place in places]
    return make(reference, busybox_tar(), changes=("ENV PATH=/bin", *volumes))


@functools.cache
def busybox_tar() -> bytes:
    """The files of that image, to which a test may add some."""
    program = _static_busybox()
    applets = subprocess.run([str(program), "--list"], check=True, capture_output=True, text=True).stdout.split()
    return _busybox_tar(program.read_bytes(), applets)


def make(reference: str, content: bytes, *, changes: Sequence[str] = ()) -> str:
    """
    The image `reference` has this tar as its only layer afterwards, and these Dockerfile lines as its settings.

    Nothing happens where it does already. Returns the reference.
    """
    known = hashlib.sha256(content + "\n".join(changes).encode()).hexdigest()
    client: Any = docker.APIClient(**docker.utils.kwargs_from_env())
    try:
        if _content_of(client, reference) != known:
            repository, _, tag = reference.rpartition(":")
            client.import_image_from_data(
                content, repository=repository, tag=tag, changes=[*changes, f"LABEL {_CONTENT}={known}"]
            )
    finally:
        client.close()
    return reference


def _content_of(client: Any, reference: str) -> str:
    try:
        labels: dict[str, str] = client.inspect_image(reference)["Config"].get("Labels") or {}
    except docker.errors.ImageNotFound:
        return ""
    return labels.get(_CONTENT, "")


def _busybox_tar(program: bytes, applets: Sequence[str]) -> bytes:
    """The same bytes for the same busybox, so that the image is made once."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("set-uid", 0o755)):
            _add(tar, folder, kind=tarfile.DIRTYPE, mode=mode)
        _add(tar, "bin/busybox", program, mode=0o755)
        for applet in sorted(set(applets) - {"busybox"}):
            _add(tar, f"bin/{applet}", kind=tarfile.SYMTYPE, target="busybox")
        _add(tar, "bin/not-a-program", b"\x7fNOTELF", mode=0o755)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n", mode=0o644)
        _add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n", mode=0o644)
        # Whether a set-uid program gains anything is one of the things tests try.
        _add(tar, "set-uid/busybox", program, mode=0o4755)
    return content.getvalue()


def _add(
    tar: tarfile.TarFile,
    name: str,
    data: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    mode: int = 0o777,
    target: str = "",
) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.linkname = kind, mode, len(data), target
    tar.addfile(info, io.BytesIO(data))


def _static_busybox() -> Path:
    """The machine's own one if it is static, else one out of Debian's package, unpacked and not installed."""
    own = shutil.which("busybox")
    if own and _is_static(Path(own)):
        return Path(own)
    kept = Path(tempfile.gettempdir()) / "pupload-test-busybox" / "busybox"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            _run("apt-get", "download", "busybox-static", cwd=scratch)
            (package,) = Path(scratch).glob("*.deb")
            _run("dpkg-deb", "-x", str(package), "unpacked", cwd=scratch)
            made = kept.with_suffix(".new")
            found = [path for path in (Path(scratch) / "unpacked").rglob("busybox") if path.parent.name == "bin"]
            shutil.copy2(found[0], made)
            made.replace(kept)
    return kept


def _is_static(program: Path) -> bool:
    """An ELF file without the name of a dynamic loader."""
    return b"/ld-linux" not in program.read_bytes() and b"/ld-musl" not in program.read_bytes()


def _run(*command: str, cwd: str) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
