"""Blocks of edges worked through by several threads, each operation of torch in one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")

_pools: dict[int, ThreadPoolExecutor] = {}
os.register_at_fork(after_in_child=_pools.clear)


def each_block(blocks: Sequence[T], work: Callable[[Iterator[T]], None]) -> None:
    """Run ``work`` over the blocks in as many threads as torch may use, each operation single-threaded.

    torch releases the interpreter lock inside operations, and there is no barrier after each. Results do not depend on
    which thread took which block: every block writes rows of its own.
    """
    threads = torch.get_num_threads()
    helpers = min(threads, len(blocks)) - 1
    queue = iter(blocks)
    if helpers <= 0:
        work(queue)
        return
    if helpers not in _pools:
        _pools[helpers] = ThreadPoolExecutor(helpers, thread_name_prefix="gate-sum")

    def help_out() -> None:
        with torch.no_grad():  # gradient mode and thread count belong to the thread
            torch.set_num_threads(1)
            work(queue)

    torch.set_num_threads(1)
    try:
        futures = [_pools[helpers].submit(help_out) for _ in range(helpers)]
        work(queue)
        for future in futures:
            future.result()
    finally:
        torch.set_num_threads(threads)
