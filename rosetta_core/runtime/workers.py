"""Threads that each do their own torch operations, on one core.

Workers    a pool: results come in order, few at a time

Many small operations on independent maps run better side by side, one thread each, than one after
the other with all threads inside each.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch

__all__ = ["Workers"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """A context with `count` threads; torch works on one core in each, and outside them as before.

    With one worker everything happens in the calling thread.
    """

    def __init__(self, count: int) -> None:
        self.count = max(1, count)

    def __enter__(self) -> "Workers":
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(
            self.count, thread_name_prefix="rosetta", initializer=lambda: torch.set_num_threads(1)
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._before)

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield work(item) for every item, in order; at most `count` are under way or waiting."""
        if self.count == 1:
            yield from map(work, items)
            return
        yield from self._in_order(work, items)

    def ahead(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The same, always in other threads: the next results come while one is being used."""
        yield from self._in_order(work, items)

    def _in_order(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                if len(waiting) == self.count:
                    yield waiting.popleft().result()
                waiting.append(self._pool.submit(_without_gradients, work, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _without_gradients(work: Callable[[Item], Result], item: Item) -> Result:
    with torch.no_grad():  # is a thread's own
        return work(item)
