"""A pool keeps the order, bounds what waits, and gives torch one core in each thread."""

import threading
from collections.abc import Iterator

import pytest
import torch

from rosetta_core.runtime.threads import TorchThreadPool


@pytest.mark.parametrize("count", [-1, 0, 1, 2, 5])
def test_results_come_in_order(count: int) -> None:
    with TorchThreadPool(count) as pool:
        assert pool.count == max(1, count)
        assert list(pool.map(lambda x: x * x, range(20))) == [x * x for x in range(20)]
        assert list(pool.prefetch(lambda x: -x, range(7))) == [-x for x in range(7)]
        assert list(pool.map(lambda x: x, [])) == []


@pytest.mark.parametrize("count", [1, 3])
def test_at_most_as_many_results_as_threads_wait(count: int) -> None:
    """After the i-th result was taken, i + count items were begun, and no more."""
    taken = 0

    def items() -> Iterator[int]:
        for item in range(12):
            assert item <= taken + count
            yield item

    with TorchThreadPool(count) as pool:
        for method in (pool.map, pool.prefetch):
            taken = 0
            for result in method(lambda x: x, items()):
                assert result == taken
                taken += 1
            assert taken == 12


def test_torch_uses_one_core_and_no_gradients_in_threads() -> None:
    def work(_: int) -> tuple[int, bool, str]:
        return torch.get_num_threads(), torch.is_grad_enabled(), threading.current_thread().name

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with TorchThreadPool(1) as pool:
            assert torch.get_num_threads() == 1
            (alone,) = pool.map(work, [0])
            assert alone[2] == threading.current_thread().name
            (ahead,) = pool.prefetch(work, [0])
            assert ahead[:2] == (1, False) and ahead[2].startswith("rosetta")
        assert torch.get_num_threads() == 2
        with TorchThreadPool(2) as pool:
            assert {found[:2] for found in pool.map(work, range(4))} == {(1, False)}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_thread_is_raised_and_what_waits_is_cancelled() -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 1:
            raise ValueError("item 1")
        return item

    with TorchThreadPool(2) as pool:
        results = pool.map(work, range(100))
        assert next(results) == 0
        with pytest.raises(ValueError, match="item 1"):
            list(results)
    assert max(begun) <= 3
