"""Python environments of their own, for packages that are not to meet the project's."""

from __future__ import annotations

import fcntl
import subprocess
import venv
from pathlib import Path

INCUMBENT = "mem0ai==2.2.1"
"""The mem0 that Perdure is compared with, and whose stores it takes over."""


def interpreter(home: Path, *requirements: str) -> Path:
    """An interpreter that has these packages: installed at the first call, whichever process makes it.

    Args:
        home: of the environment; it is made again when it was made with other requirements.
        requirements: as pip takes them.
    """
    python, made_with = home / "bin" / "python", home / "made-with"
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = "\n".join(requirements)
        if not made_with.exists() or made_with.read_text() != wanted:
            venv.create(home, with_pip=True, clear=True)
            # what is imported is compiled then: a third of the time goes into the rest
            command = [python, "-m", "pip", "install", "--no-compile", "--quiet", "--quiet"]
            subprocess.run([*command, "--disable-pip-version-check", *requirements], check=True)
            made_with.write_text(wanted)
    return python
