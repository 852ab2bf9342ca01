"""How many requests did each app get, how did they end, and how long did they take: by the proxy's line for each.

A line: MILLISECONDS_SINCE_1970 BACKEND TERMINATION RETRIES STATUS TIME_QUEUED TIME_TO_CONNECT TIME_TO_ANSWER (ms; -1:
it did not come so far). It is what a deploy counts by (lib_measure.bash), which has the same rule of what has failed.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict

FIELDS = 8
# Milliseconds; what takes longer is in the last one.
BUCKETS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
# What begins so is no app's: nobody's host name, the page of an app that is away, what the edge answers by itself.
NO_APP = "handful."
FAILED_TCP = re.compile(rb"[SsPRID][CQ]")
# Who ended it: the proxy, which is its own error from 500 on; the app, or whoever took that away. What had begun to be
# answered by then was cut off.
OWN, APP, BEGUN = b"PRIUu", b"SsDK", b"DL"
LEAST_ERROR = 500


class Requests:
    """Counts, by backend: STACK.APP."""

    def __init__(self) -> None:
        """Nothing was counted yet."""
        self.answered: Counter[tuple[str, str]] = Counter()
        self.failed: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self.times: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self.seconds: Counter[str] = Counter()
        # Of the newest request, and up to which those that come are known already; milliseconds since 1970.
        self._newest = self._known = 0

    def again(self) -> None:
        """What was taken will come once more: it is not counted twice."""
        self._known = self._newest

    def take(self, record: bytes) -> None:
        """Count the request that a record of Docker's tells of; what is no such line is passed over."""
        words = record[8 : record.rfind(b'\\n","stream"')].split()
        if len(words) != FIELDS:
            return
        moment, backend, ended, _, status, *waits = words
        app = backend.decode(errors="replace").removesuffix(".once")
        # A request from another machine was counted there: STACK.APP.here is what answers it here.
        if app.startswith(NO_APP) or app.count(".") != 1 or not self._is_new(moment):
            return
        if status == b"-":
            if FAILED_TCP.match(ended):
                self.failed[app] += 1
            else:
                self.answered[app, "tcp"] += 1
            return
        try:
            code, times = int(status), [int(each) for each in waits]
        except ValueError:
            return
        if ended[:1] in APP:
            (self.cut if ended[1:2] in BEGUN else self.failed)[app] += 1
        elif ended[:1] in OWN and code >= LEAST_ERROR:
            self.failed[app] += 1
        elif code > 0:
            self.answered[app, f"{code // 100}xx"] += 1
        if times[-1] >= 0:
            taken = sum(each for each in times if each > 0)
            self.times[app][bisect_left(BUCKETS, taken)] += 1
            self.seconds[app] += taken

    def _is_new(self, moment: bytes) -> bool:
        if not moment.isdigit() or int(moment) <= self._known:
            return False
        self._newest = max(self._newest, int(moment))
        return True
