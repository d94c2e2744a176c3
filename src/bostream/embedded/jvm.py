"""How Kafka's programs are run: the command line, the ahead-of-time cache, and the one-time format.

The ahead-of-time cache (Java 25 on) brings a start from 3 s to about 1 s. It is tied to Java, class path and options,
so its file is named after them. What must stay true: it only ever makes a start quicker; without it, or with a broken
one, Kafka starts as well.
"""

import hashlib
import subprocess
import tempfile
from pathlib import Path

from bostream.embedded.artifacts import KAFKA_VERSION, kafka_directory
from bostream.embedded.java import Java
from bostream.embedded.properties import Address, render, server_properties
from bostream.errors import BrokerError

_FORMAT_TIMEOUT_S = 60
_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)
# A short life: code compiled quickly beats code compiled well.
_QUICK_START = ("-XX:TieredStopAtLevel=1",)


class Launcher:
    """Runs Kafka's programs with one Java, one class path and one heap size (MB)."""

    def __init__(self, java: Java, class_path: str, heap_mb: int, *, is_for_load: bool = False) -> None:
        self._java = java
        self._class_path = class_path
        self._options = (f"-Xmx{heap_mb}m", *(() if is_for_load else _QUICK_START), *_OPTIONS)
        self._is_aot_allowed = java.has_aot_cache

    @property
    def aot_cache(self) -> Path:
        """Where the ahead-of-time cache of exactly this Java, class path and options is kept."""
        identity = "\n".join((self._java.identity, self._class_path, *self._options))
        return kafka_directory() / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.aot"

    @property
    def can_train(self) -> bool:
        """Whether this Java can have an ahead-of-time cache and has none yet."""
        return self._is_aot_allowed and not self.aot_cache.is_file()

    def command(self, server_properties_file: Path, aot_output: Path | None = None) -> list[str]:
        """Return the command line of a broker."""
        return [*self._java_command(aot_output), "kafka.Kafka", str(server_properties_file)]

    def forget_aot_cache(self) -> None:
        """Start without the ahead-of-time cache from now on and remove it: it may be why a start failed."""
        if self._is_aot_allowed:
            self._is_aot_allowed = False
            self.aot_cache.unlink(missing_ok=True)

    def bootstrap_checkpoint(self) -> bytes:
        """Return the file by which a formatted directory says which features a new cluster has.

        It is the same for every cluster of this version, so Kafka's own tool makes it once (1 s).
        """
        kept = kafka_directory() / "bootstrap.checkpoint"
        try:
            return kept.read_bytes()
        except FileNotFoundError:
            content = self._run_storage_tool()
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as unfinished:
            unfinished.write(content)
        Path(unfinished.name).replace(kept)
        return content

    def _java_command(self, aot_output: Path | None) -> list[str]:
        options = list(self._options)
        if aot_output is not None:
            options.append(f"-XX:AOTCacheOutput={aot_output}")
        elif self._is_aot_allowed and self.aot_cache.is_file():
            # Unusable for whatever reason: Java says so in the log and starts without it.
            options.append(f"-XX:AOTCache={self.aot_cache}")
        return [str(self._java.executable), *options, "-cp", self._class_path]

    def _run_storage_tool(self) -> bytes:
        with tempfile.TemporaryDirectory(prefix="bostream-format-") as name:
            place = Path(name)
            address = Address(node=1, client_port=9092, controller_port=9093)
            properties = place / "server.properties"
            properties.write_text(render(server_properties(address, [address], str(place / "data"))), encoding="utf-8")
            tool = ["kafka.tools.StorageTool", "format", "--cluster-id", "AAAAAAAAAAAAAAAAAAAAAQ"]
            command = [str(self._java.executable), *self._options, "-cp", self._class_path, *tool]
            try:
                answer = subprocess.run(
                    [*command, "--config", str(properties)],
                    capture_output=True,
                    text=True,
                    timeout=_FORMAT_TIMEOUT_S,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise BrokerError(
                    f"embedded Kafka {KAFKA_VERSION}: {self._java.executable} does not run: {error}."
                ) from error
            if answer.returncode != 0:
                raise BrokerError(
                    f"embedded Kafka {KAFKA_VERSION}: its storage tool failed with return code {answer.returncode}: "
                    f"{answer.stderr.strip()[-600:]}\nIf files of the cache are damaged, remove {kafka_directory()}."
                )
            return (place / "data" / "bootstrap.checkpoint").read_bytes()
