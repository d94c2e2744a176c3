"""The parts of ``bostream demo``: what is planned, the processes that it starts, what it observes and how it shows it.

What must stay true: the workers are the real ones, started as anybody starts them; everything shown was read back from
Kafka as any consumer would read it, and nothing is taken from inside a worker.
"""
