"""Hatchling's build hook: a wheel carries the model, an editable install reads the cache."""

from __future__ import annotations

import sys
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACE: Final = "perdure/embedders/minilm"


class ModelHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's type parameter has no use here
    """Builds the model into the user's cache, unless it is there, and puts it into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it packs; `version` is "standard" or "editable"."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from model import build  # only here does it find what it imports
        from perdure.embedders.modelfiles import cache_directory

        directory = cache_directory()
        build.build(directory, report=self.app.display_info)
        for name in build.FILES:
            build_data["force_include"][str(directory / name)] = f"{PLACE}/{name}"
