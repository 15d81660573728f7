"""Moving: everything of one store into another one, taken over whole, resumable, and compared at the end."""

from perdure.migrate.moving import migrate
from perdure.migrate.taking import take_over

__all__ = ["migrate", "take_over"]
