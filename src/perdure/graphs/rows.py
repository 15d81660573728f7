"""What graph engines are told, as their query languages take it."""

from perdure.ports.derived import Stated


def row(stated: Stated) -> list[int | str]:
    """Its `ord`, the subject by key and as written, the relation, the object likewise."""
    relation = stated.relation
    return [
        stated.ord,
        stated.subject_key,
        relation.subject,
        relation.relation,
        stated.object_key,
        relation.object,
    ]
