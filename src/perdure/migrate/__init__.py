"""Moving: everything of one store into another one, taken over whole, resumable, and compared at the end."""

from perdure.migrate.moving import migrate

__all__ = ["migrate"]
