"""Faust as the host of the transaction loop: life cycle, supervision, signals, and each stage as an agent on a channel.

Faust's own Kafka transport is off; it never consumes, produces or commits. The loop runs as a service of the app; it
hands each stage's agent the job of one batch (one hop per batch, never per record) and waits for all of them. What must
stay true: an agent's error fails the batch that it was working on, and is never swallowed by the supervisor's restart;
every wait has an upper bound.
"""

import asyncio
import logging
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import faust
from faust.app.base import BootStrategy

from bostream.engine.batch import Batch, Job
from bostream.engine.transaction import ABORTABLE, TransactionLoop

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_STOP_TIMEOUT_S = 20.0
_NO_BROKER = "kafka://127.0.0.1:1"
"""Never connected to: the transport is off."""


class _Boot(BootStrategy):
    enable_kafka = False
    enable_web = False
    enable_sensors = False


class _Hop:
    """One stage's job of one batch, on its way through the stage's channel."""

    def __init__(self, job: Job, done: "asyncio.Future[None]") -> None:
        self.job = job
        self.done = done

    def run(self) -> None:
        """Run the job; its outcome, or its error, is the answer to the loop."""
        try:
            self.job.run()
        except Exception as error:  # noqa: BLE001 - the loop decides what an error means; Faust must not see it
            if not self.done.done():
                self.done.set_exception(error)
        else:
            if not self.done.done():
                self.done.set_result(None)


class FaustHost:
    """Runs one :class:`TransactionLoop` until it is told to stop or an error ends it.

    Args:
        loop: the loop; opened and closed by this host.
        stages: names of all stages; each becomes an agent.
        app: name of the Faust app, shown in the process title only.
    """

    def __init__(self, loop: TransactionLoop, stages: Sequence[str], app: str) -> None:
        self._loop = loop
        self.failure: Exception | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="bostream-kafka")
        self._app = faust.App(app, broker=_NO_BROKER, datadir=tempfile.gettempdir(), autodiscover=False)
        self._app.boot_strategy = _Boot(self._app)
        self._channels = {stage: self._add_agent(stage) for stage in stages}
        self._finished: asyncio.Event | None = None
        self._add_service()

    def _add_agent(self, stage: str) -> Any:
        channel = self._app.channel(maxsize=1)

        async def agent(hops: Any) -> None:
            async for hop in hops:
                hop.run()

        agent.__qualname__ = stage  # the name in Faust's log lines
        self._app.agent(channel, name=stage)(agent)
        return channel

    def _add_service(self) -> None:
        host = self

        class LoopService(faust.Service):
            async def on_start(self) -> None:
                host._finished = asyncio.Event()

            @faust.Service.task
            async def pump(self) -> None:
                try:
                    await host._pump(lambda: self.should_stop)
                finally:
                    if host._finished is not None:
                        host._finished.set()

            async def on_stop(self) -> None:
                if host._finished is not None:
                    await asyncio.wait_for(host._finished.wait(), _STOP_TIMEOUT_S)

        self._app.service(LoopService)

    async def _pump(self, should_stop: Callable[[], bool]) -> None:
        self._app.flow_control.resume()  # else every channel waits for a consumer that never comes
        try:
            await self._call(self._loop.open)
            while not should_stop():
                batch = await self._call(self._loop.collect)
                if batch is not None:
                    await self._run(batch)
        except Exception as error:
            self.failure = error
            raise
        finally:
            await self._call(self._loop.close)

    async def _run(self, batch: Batch) -> None:
        try:
            await self._dispatch(batch)
            await self._call(lambda: self._loop.commit(batch))
        except ABORTABLE as error:
            failure = error  # the name of an except clause is unbound at its end
            await self._call(lambda: self._loop.abort(batch, failure))

    async def _dispatch(self, batch: Batch) -> None:
        event_loop = asyncio.get_running_loop()
        hops = [_Hop(job, event_loop.create_future()) for job in batch.jobs]
        for hop in hops:
            await self._channels[hop.job.stage_name].put(hop)
        results = await asyncio.gather(*(hop.done for hop in hops), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _call(self, function: Callable[[], Answer]) -> Answer:
        """Run a blocking call of the loop in its one thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def run(self) -> None:
        """Run until SIGTERM, SIGINT or an error.

        Raises:
            Exception: what ended the loop, if it was not asked to stop.
        """
        worker = self._app.Worker(override_logging=False, redirect_stdouts=False, quiet=True)
        worker.spinner = None
        try:
            worker.execute_from_commandline()
        except SystemExit as stop:
            logger.info("Faust stopped with code %s", stop.code)
        finally:
            self._executor.shutdown(wait=False)
        if self.failure is not None:
            raise self.failure
