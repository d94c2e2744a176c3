"""Kafka as the engine's ports, and what the command line needs besides: the only folder that knows confluent-kafka.

What must stay true: every error of the library leaves as one of :mod:`bostream.errors`, named after its remedy.
"""
