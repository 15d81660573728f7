"""Times in texts: found, resolved to intervals, and written out for the index of words."""

from perdure.engine.dates.reading import date_text, mention_text, mentions, question_interval

__all__ = ["date_text", "mention_text", "mentions", "question_interval"]
