"""The command line and composition root: the only place that wires adapters to the engine."""
