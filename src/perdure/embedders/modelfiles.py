"""Where the files of the local embedding model lie, and whether they are whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from perdure.errors import ModelUnavailable

NAME: Final = "all-MiniLM-L6-v2-int8"
VERSION: Final = "1"
"""Raised whenever a build gives other vectors: stores name the model that made theirs."""

MODEL: Final = f"{NAME}/{VERSION}"
DIMENSIONS: Final = 384
MAX_TOKENS: Final = 256
"""What the model was trained for; the rest of a text is not seen."""

GRAPH: Final = "model.onnx"
TOKENIZER: Final = "tokenizer.json"
MANIFEST: Final = "manifest.json"

PACKAGED: Final = Path(__file__).with_name("minilm")
"""Where a wheel carries the model."""


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where a build belongs: `$PERDURE_MODEL_DIR`, else below the user's cache."""
    if chosen := environ.get("PERDURE_MODEL_DIR"):
        return Path(chosen).expanduser()
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "perdure" / "models" / f"{NAME}-{VERSION}"


def find_model(directory: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Path:
    """The first directory with a sound model: the one given, or the package's, or the cache.

    A directory that was chosen, by argument or by `$PERDURE_MODEL_DIR`, is not replaced by another.

    Raises:
        ModelUnavailable: there is none; says what is wrong with each place and what to do.
    """
    faults: list[str] = []
    for place in _places(directory, environ):
        fault = fault_of(place)
        if fault is None:
            return place
        faults.append(f"{place}: {fault}")
    raise ModelUnavailable(
        f"The embedding model {MODEL} cannot be used ({'; '.join(faults)}). "
        "Run `make model` in a checkout, or reinstall perdure from its wheel; "
        "set PERDURE_MODEL_DIR if the model lies elsewhere."
    )


def fault_of(directory: Path) -> str | None:
    """What is wrong with the model in a directory; None when it is whole and of this version."""
    try:
        manifest = json.loads((directory / MANIFEST).read_bytes())
        if (manifest["name"], manifest["version"]) != (NAME, VERSION):
            return f"another model, {manifest['name']}/{manifest['version']}"
        damaged = [name for name in (GRAPH, TOKENIZER) if digest(directory / name) != manifest["files"][name]]
    except FileNotFoundError as error:
        return f"no {Path(error.filename).name}"
    except OSError as error:
        return f"unreadable, {error.strerror}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"a damaged {MANIFEST}"
    return f"a damaged {' and '.join(damaged)}" if damaged else None


def write_manifest(directory: Path) -> None:
    """Vouch for the files as they are now."""
    files = {name: digest(directory / name) for name in (GRAPH, TOKENIZER)}
    manifest = {"name": NAME, "version": VERSION, "files": files}
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _places(directory: Path | None, environ: Mapping[str, str]) -> tuple[Path, ...]:
    if directory is not None:
        return (directory,)
    if environ.get("PERDURE_MODEL_DIR"):
        return (cache_directory(environ),)
    return PACKAGED, cache_directory(environ)
