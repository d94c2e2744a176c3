"""``python -m bostream.embedded``: prepare the cache, or run a broker in the foreground until Ctrl-C."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from bostream.embedded.artifacts import cache_directory, class_path, kafka_directory, write_lock
from bostream.embedded.java import find_java
from bostream.embedded.jvm import Launcher
from bostream.embedded.kafka import EmbeddedKafka
from bostream.embedded.progress import say
from bostream.errors import BostreamError

EXIT_OK = 0
EXIT_BROKER = 4


def main() -> int:
    """Run what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bostream.embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare", help="fetch Kafka into the cache and make later starts quick; does nothing twice")
    run = commands.add_parser("run", help="run Kafka until Ctrl-C; prints the bootstrap servers")
    run.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    run.add_argument("--directory", type=Path, help="keep the data here (default: a temporary directory)")
    lock = commands.add_parser("lock", help="resolve the jars again and write kafka.lock")
    lock.add_argument("path", type=Path)
    options = parser.parse_args()
    try:
        if options.command == "prepare":
            prepare()
        elif options.command == "run":
            run_until_interrupted(options.nodes, options.directory)
        else:
            write_lock(options.path)
    except BostreamError as error:
        say(f"error: {error}")
        return EXIT_BROKER
    return EXIT_OK


def prepare() -> None:
    """Bring everything that a start needs into the cache, so that later starts are quick and need no network."""
    launcher = Launcher(find_java(), class_path(), heap_mb=256)
    launcher.bootstrap_checkpoint()
    if launcher.can_train:
        say("preparing quick starts of Kafka (once, about 15 s) …")
        try:
            train(launcher.aot_cache)
        except (BostreamError, OSError) as error:
            say(f"going on without quick starts: {error}")
    say(f"Kafka is ready in {cache_directory()}")


def train(aot_cache: Path) -> None:
    """Run Kafka once so that Java writes down what a start needs; move the result into place when it is complete."""
    with tempfile.TemporaryDirectory(prefix=".training-", dir=kafka_directory()) as name:
        output = Path(name) / "kafka.aot"
        kafka = EmbeddedKafka()
        try:
            kafka.start(aot_output=output)
        finally:
            kafka.stop_training()
        if output.is_file():
            # Each is 60 MB, and those of another Java, or of Kafka's other jars, are of no use any more.
            for outdated in kafka_directory().glob("*.aot"):
                outdated.unlink()
            output.replace(aot_cache)


def run_until_interrupted(nodes: int, directory: Path | None) -> None:
    """Print the bootstrap servers on standard output, then wait for SIGINT or SIGTERM."""
    waited_for = {signal.SIGINT, signal.SIGTERM}
    with EmbeddedKafka(nodes, directory) as kafka:
        # Only now: a child inherits what is blocked, and the brokers must be able to see SIGTERM.
        signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
        sys.stdout.write(f"{kafka.bootstrap_servers}\n")
        sys.stdout.flush()
        signal.sigwait(waited_for)


if __name__ == "__main__":
    sys.exit(main())
