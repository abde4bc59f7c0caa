"""What is done to the cluster while its gates wait: each strike comes when it hits something."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from cluster.database import Database
from cluster.gates import Tenant
from cluster.outcomes import DAG_ID, GATE
from cluster.stack import SCHEDULER, TRIGGERERS, WORKERS, Cluster

# How long the simulator stays away, in seconds.
_OUTAGE = 15.0
_WORKER = "kill -9 a worker"
_TRIGGERER = "kill -9 a triggerer"
_SCHEDULER = "kill -9 the scheduler"
_REDIS = "restart Redis"
_SIMULATOR = "kill -9 the simulator"
_OTHER_WORKER = "kill -9 the other worker"
#: Every strike by its name, in order.
ALL = (_WORKER, _TRIGGERER, _SCHEDULER, _REDIS, _SIMULATOR, _OTHER_WORKER)


class Target(NamedTuple):
    """What a strike would hit now, in words, and what does it."""

    description: str
    hit: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Strike:
    """One thing that goes wrong.

    :param aim: finds what it would hit now; nothing, and it waits.
    """

    name: str
    aim: Callable[[], Target | None]


class Strikes:
    """All strikes in their order.

    :param names: which of them.
    :param hold: so many gates have to wait on the triggerers before what they wait by is killed.
    :param pause: seconds from one strike to the next, at least.
    """

    def __init__(
        self,
        cluster: Cluster,
        tenant: Tenant,
        database: Database,
        say: Callable[[str], None],
        *,
        names: Sequence[str],
        hold: int,
        pause: float,
    ) -> None:
        self._cluster = cluster
        self._tenant = tenant
        self._database = database
        self._say = say
        self._hold = hold
        self._pause = pause
        self._next_at = 0.0
        # Those that have not been hit.
        self._workers = list(WORKERS)
        self.left = [strike for strike in self._all() if strike.name in names]

    def advance(self) -> None:
        """Carry out the next strike if it is due and would hit something."""
        if not self.left or time.monotonic() < self._next_at:
            return
        strike = self.left[0]
        if target := strike.aim():
            self._say(f"STRIKE: {strike.name}, {target.description}")
            target.hit()
            del self.left[0]
            self._next_at = time.monotonic() + self._pause

    def _all(self) -> list[Strike]:
        crash = self._cluster.crash
        return [
            Strike(_WORKER, self._busy_worker),
            Strike(_TRIGGERER, lambda: self._waiting(lambda: crash(TRIGGERERS[0]))),
            Strike(_SCHEDULER, lambda: self._unfinished(lambda: crash(SCHEDULER))),
            Strike(_REDIS, lambda: self._unfinished(self._cluster.restart_redis)),
            Strike(_SIMULATOR, lambda: self._waiting(lambda: self._tenant.crash(seconds=_OUTAGE))),
            Strike(_OTHER_WORKER, self._busy_worker),
        ]

    def _busy_worker(self) -> Target | None:
        """Find a worker that runs gates, among those that have not been hit."""
        running = self._database.running_pids(DAG_ID, GATE)
        for worker in self._workers:
            if tasks := running & {member.pid for member in self._cluster.component(worker).members()}:
                return Target(f"which runs {len(tasks)} of the gates", partial(self._crash_worker, worker))
        return None

    def _crash_worker(self, worker: str) -> None:
        self._cluster.crash(worker)
        self._workers.remove(worker)

    def _waiting(self, hit: Callable[[], None]) -> Target | None:
        count = len(self._database.count_states(DAG_ID).get(GATE, {}).get("deferred", []))
        return Target(f"while {count} gates wait", hit) if count >= self._hold else None

    def _unfinished(self, hit: Callable[[], None]) -> Target | None:
        states = self._database.count_states(DAG_ID).get(GATE, {})
        count = sum(len(indexes) for state, indexes in states.items() if state not in {"success", "failed"})
        return Target(f"while {count} gates have not ended", hit) if count else None
