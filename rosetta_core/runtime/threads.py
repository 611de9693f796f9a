"""A pool of threads that each run torch operations on one core.

Many small operations on independent maps run faster side by side, one thread each, than one after
the other with several threads inside each operation.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch

__all__ = ["TorchThreadPool"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class TorchThreadPool:
    """A context with a pool of threads; torch uses one core in each of them.

    Torch's own number of threads is 1 inside the context and is restored after it. Gradients are
    disabled in the threads.

    Args:
        count: number of threads; with 1, `map` runs in the calling thread.
    """

    def __init__(self, count: int) -> None:
        self.count = max(1, count)

    def __enter__(self) -> "TorchThreadPool":
        self._threads_before = torch.get_num_threads()
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
        torch.set_num_threads(self._threads_before)

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield work(item) for each item, in order.

        At most `count` results exist at a time, running or not yet taken.
        """
        if self.count == 1:
            yield from map(work, items)
            return
        yield from self._in_order(work, items)

    def prefetch(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield as `map` does, but always from other threads, ahead of the caller's use."""
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
    with torch.no_grad():  # gradient mode is set per thread
        return work(item)
