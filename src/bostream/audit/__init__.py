"""An independent second opinion: the rules once more, slow and obvious, to check what the books published.

What must stay true: nothing here shares code with the books' own rules beyond the events that they are told and the
names of reasons, so that a mistake in one is not repeated in the other.
"""
