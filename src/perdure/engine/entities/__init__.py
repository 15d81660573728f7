"""Who and what memories are about, and what is between them: pure, the same without a language model."""

from perdure.engine.entities.graph import MENTIONED_WITH, Edge, Graph, chosen, graph
from perdure.engine.entities.survey import Entity, Survey, survey

__all__ = ["MENTIONED_WITH", "Edge", "Entity", "Graph", "Survey", "chosen", "graph", "survey"]
