"""The laws the lab's machines obey, as pure functions of numpy arrays. Times are in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.lab.world.noise import STEP_MS, Array

SATURATED = 0.97  # utilisation at which the steady-state formulas are left for the fluid queue
CFS_PERIOD = 0.1
Single = npt.NDArray[np.float32]


def utilisation(arrivals: Array, work: Array, cores: float) -> Array:
    """Utilisation law (Denning and Buzen 1978): busy share of the servers = arrival rate × service demand / servers."""
    return arrivals * work / cores


def erlang_c(rho: Array, servers: int) -> Array:
    """Probability that an arrival waits in M/M/c (Erlang 1917; Cooper 1981, ch. 3), for utilisation below one."""
    rho = np.clip(rho, 0.0, SATURATED)
    load = rho * servers
    term, total = np.ones_like(load), np.ones_like(load)
    for k in range(1, servers):
        term = term * load / k
        total = total + term
    last = term * load / servers / (1 - rho)
    return np.asarray(last / (total + last))


def throttled_share(arrivals: Array, work: Array, cores: float) -> Array:
    """Share of CFS periods in which the quota runs out (Linux CFS bandwidth control, Turner, Rao and Rao 2010).

    Work arriving in a 100 ms period is compound Poisson with jobs of one size: mean λPs and variance λPs². It exceeds
    the quota with the probability of a normal tail, here its logistic approximation (error below 0.01).
    """
    mean = arrivals * CFS_PERIOD * work
    deviation = np.sqrt(arrivals * CFS_PERIOD) * work + 1e-4
    return np.asarray(1 / (1 + np.exp(np.clip(1.702 * (CFS_PERIOD * cores - mean) / deviation, -40, 40))))


def backlog(arrivals: Array, capacity: Array, most: Array) -> Array:
    """Fluid queue above saturation (Newell 1982): requests waiting, cut at `most`, beyond which callers have given up.

    Arrays are (slots, steps). Loops only from the first overloaded step on, and stops where nothing is left.
    """
    flow = (arrivals - capacity) * (STEP_MS / 1000)
    waiting = np.zeros_like(flow)
    over = np.flatnonzero((flow > 0).any(axis=0))
    if not len(over):
        return waiting
    level = np.zeros(flow.shape[0])
    step, last = int(over[0]), int(over[-1])
    while step < flow.shape[1]:
        level = np.clip(level + flow[:, step], 0.0, most[:, step])
        waiting[:, step] = level
        step += 1
        if step > last and not level.any():
            break
    return waiting


@dataclass(frozen=True)
class Latency:
    """Response times: a log-logistic body around `median` and, with probability `waits`, an exponential wait of mean
    `wait` after a fixed `delay` (what stands in the queue already). Shapes broadcast; single precision is enough."""

    median: Single
    waits: Single
    wait: Single
    delay: Single

    def beyond(self, bound: float) -> Single:
        """Share of requests slower than `bound`."""
        if math.isinf(bound):
            return np.zeros_like(self.median)
        ratio = self.median / np.float32(bound)
        body = ratio * ratio
        body = body * body
        body = body / (1 + body)
        left = np.maximum(np.float32(bound) - self.median - self.delay, np.float32(0.0))
        tail = np.exp(-np.minimum(left / self.wait, np.float32(60.0)))
        return np.asarray(body + (1 - body) * self.waits * tail)

    def mean(self) -> Array:
        # a log-logistic of shape 4 has mean (π/4)/sin(π/4) ≈ 1.11 medians
        return np.asarray(1.11 * self.median + self.waits * (self.wait + self.delay))
