"""Does an app answer every request while something happens to it? A load that never retries.

As a program: `python client.py --url http://127.0.0.1:80 --host hello.test --seconds 10 --json`. The app must have the
endpoints of `examples/hello`. The load stops by itself, at the latest after an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Self
from urllib.parse import urlsplit

from tally import Failure, Summary
from traffic import TIMEOUT_SECONDS, Mix, Run, senders

__all__ = ["Failure", "Load", "Mix", "Summary", "drive"]

MAX_SECONDS = 3600.0
GRACE_SECONDS = 5.0  # for what is in flight when the time is up


class Load:
    """A load in a process of its own, for as long as the `with` lasts; it also ends when this process does.

    >>> with Load(["http://127.0.0.1:80"], "hello.test") as load:
    ...     deploy()
    >>> assert load.result().failed == 0
    """

    def __init__(self, urls: Sequence[str], host: str, mix: Mix | None = None, seconds: float = MAX_SECONDS) -> None:
        """Take the arguments of `drive`; nothing is sent yet."""
        options = [f"--{name.replace('_', '-')}={value}" for name, value in asdict(mix or Mix()).items()]
        where = [*(f"--url={url}" for url in urls), f"--host={host}", f"--seconds={seconds}"]
        self._command = [sys.executable, __file__, *where, *options, "--until-stdin-closes", "--json"]
        self._process: subprocess.Popen[str] | None = None
        self._result: Summary | None = None

    def __enter__(self) -> Self:
        """Start the load."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the load, after what is in flight."""
        self.result()

    def result(self) -> Summary:
        """Stop the load if it still runs, and say how it went; RuntimeError if the client itself broke."""
        if self._result is None:
            if self._process is None:
                raise RuntimeError("The load was not started: use it in a `with`.")
            try:
                output, _ = self._process.communicate(timeout=GRACE_SECONDS + TIMEOUT_SECONDS)
            finally:
                self._process.kill()
            if not output:
                raise RuntimeError(f"The load client ended with {self._process.wait()}; its stderr says why.")
            self._result = Summary.from_json(output)
        return self._result


async def drive(
    urls: Sequence[str],
    host: str,
    mix: Mix | None = None,
    seconds: float = MAX_SECONDS,
    stop: asyncio.Event | None = None,
) -> Summary:
    """Send the mix to the urls (`http://ADDRESS:PORT`, in turn) as `host`, for so long or until `stop` is set."""
    run = Run(itertools.cycle([address_of(url) for url in urls]), host, stop or asyncio.Event())
    tasks = [asyncio.create_task(sender) for sender in senders(run, mix or Mix())]
    await run.pause(min(seconds, MAX_SECONDS))
    run.stop.set()
    lasted = run.tally.clock()
    _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
    for task in late:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):  # a mistake of this client must not pass for an app without failures
            raise outcome
    return run.tally.summary(lasted)


def address_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url} is no address for a load. Write http://ADDRESS:PORT.")
    return parts.hostname, parts.port or 80


def main(arguments: Sequence[str]) -> int:
    """Run the command line; 0 if every request was answered well, 1 if not."""
    options, mix = parse(arguments)
    summary = asyncio.run(drive_until_told(options, mix))
    print(json.dumps(asdict(summary)) if options.json else summary)
    if options.versions and not options.json:
        print("\n".join(f"  version {name} first seen after {at:.2f} s" for name, at in summary.versions.items()))
    return 0 if summary.sent and not summary.failed else 1


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, Mix]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", action="append", required=True, help="http://ADDRESS:PORT; several are used in turn")
    parser.add_argument("--host", required=True, help="the Host header")
    parser.add_argument("--seconds", type=float, help=f"how long, at most {MAX_SECONDS:.0f}")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when stdin does, or after --seconds")
    parser.add_argument("--json", action="store_true", help="print the whole summary as JSON")
    parser.add_argument("--versions", action="store_true", help="also say when each version was first seen")
    for part in fields(Mix):
        option = f"--{part.name.replace('_', '-')}"
        parser.add_argument(option, type=type(part.default), default=part.default, help="%(default)s by default")
    options = parser.parse_args(arguments)
    if not options.seconds and not options.until_stdin_closes:
        parser.error("say how long: --seconds N or --until-stdin-closes")
    try:
        [address_of(url) for url in options.url]
        return options, Mix(**{part.name: getattr(options, part.name) for part in fields(Mix)})
    except ValueError as error:
        parser.error(str(error))


async def drive_until_told(options: argparse.Namespace, mix: Mix) -> Summary:
    """Drive until the time is up, stdin closes, or someone interrupts."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if options.until_stdin_closes:
        threading.Thread(target=stop_with_stdin, args=(loop, stop), daemon=True).start()
    return await drive(options.url, options.host, mix, options.seconds or MAX_SECONDS, stop)


def stop_with_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(0, 65536):
        pass
    loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
