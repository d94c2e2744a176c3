"""``python -m bostream`` is ``bostream``."""

from bostream.cli.main import run

run()
