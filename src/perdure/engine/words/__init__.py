"""The words of texts and of questions, as hashes that mean the same in every process and version."""

from perdure.engine.words.analysis import ANALYZER_VERSION, Words, analyze, pieces
from perdure.engine.words.questions import QueryWords, read_query

__all__ = ["ANALYZER_VERSION", "QueryWords", "Words", "analyze", "pieces", "read_query"]
