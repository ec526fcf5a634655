"""Git repositories, made by git itself."""

import os
import subprocess
from pathlib import Path

CLEAN = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_DATE": "2026-03-03T12:00:00Z",
    "GIT_COMMITTER_DATE": "2026-03-03T12:00:00Z",
}


class Repository:
    """A repository with files in it, on the branch `main`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, given: str = "") -> str:
        """What git writes."""
        who = ("-c", "user.name=Anna", "-c", "user.email=anna@example.org")
        command = ["git", "-C", str(self.folder), *who, *arguments]
        return subprocess.run(
            command, env=CLEAN, check=True, capture_output=True, text=True, input=given
        ).stdout.strip()

    def put(self, path: str, text: str) -> None:
        """A file, not committed."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self, message: str = "a change", **files: str) -> str:
        """The commit of all that is there and these files, `__` for a slash in their names."""
        for name, text in files.items():
            self.put(name.replace("__", "/") + ".yaml", text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")
