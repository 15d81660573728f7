"""What is wrong is told once, with what to do about it."""

from __future__ import annotations

from perdure.engine.upkeep import advised
from perdure.ports import Space
from perdure.stores.postgres.address import place
from perdure.stores.spaces import mismatch


def test_an_engine_in_trouble_is_named_once_and_what_to_do_is_told():
    gone = {
        "role": "vectors",
        "engine": "Qdrant at there",
        "problem": "Qdrant at there cannot be had (OSError)",
    }
    refused = {
        "role": "graph",
        "engine": "Neo4j at there",
        "problem": "Neo4j at there refuses us: mend `password`",
    }
    silent = {"role": "vectors", "engine": "the shelf", "problem": "it hangs"}
    behind = {"role": "vectors", "engine": "the shelf", "behind": 1}
    assert advised([gone, refused, silent, behind]) == [
        "vectors in Qdrant at there cannot be had (OSError): is it running, and configured rightly?",
        "graph in Neo4j at there refuses us: mend `password`",
        "vectors in the shelf cannot be had: it hangs: is it running, and configured rightly?",
        "the shelf lacks 1 change (vectors): run `perdure doctor --repair`",
    ]


def test_another_model_says_how_both_can_serve():
    held, asked = (Space(model=model, dimensions=8, analyzer=1) for model in ("old", "new"))
    told = str(mismatch(held, asked))
    assert "'old'" in told
    assert "`former_embedder` beside the new one, or run `perdure reindex`" in told


def test_a_postgresql_that_nobody_named_is_not_called_a_question_mark():
    assert place("", "perdure").startswith(
        "the PostgreSQL store perdure at the server of PGHOST or this machine"
    )
    assert place("host=db1 dbname=notes", "perdure") == "the PostgreSQL store notes.perdure at db1:5432"
