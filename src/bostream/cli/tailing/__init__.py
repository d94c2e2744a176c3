"""The parts of ``bostream tail``: which topic, since when, which records, and how they read."""
