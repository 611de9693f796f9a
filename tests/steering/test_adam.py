"""Steps are those of torch's own optimiser, bit by bit, also after they were stopped."""

import subprocess
import sys

import torch
from torch import Tensor

from rosetta_core.steering.optimise.adam import Adam

RATES = [0.3, 0.1, 0.05, 0.05, 0.02, 0.01]


def loss(latents: Tensor) -> Tensor:
    return ((latents - 2).square() * torch.arange(1.0, 6)).sum() + latents.sin().sum()


def start() -> Tensor:
    return torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_(True)


def test_steps_are_those_of_torch() -> None:
    own, theirs = start(), start()
    adam, optimizer = Adam(own), torch.optim.Adam([theirs])
    for rate in RATES:
        loss(own).backward()
        adam.step(rate)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss(theirs).backward()
        optimizer.step()
        assert torch.equal(own, theirs)
        assert own.grad is None


def test_it_goes_on_from_its_state() -> None:
    whole = start()
    adam = Adam(whole)
    for step, rate in enumerate(RATES):
        if step == 3:
            state, latents = adam.state(), whole.detach().clone().requires_grad_(True)
        loss(whole).backward()
        adam.step(rate)
    later = Adam(latents)
    later.load(state)
    for rate in RATES[3:]:
        loss(latents).backward()
        later.step(rate)
    assert torch.equal(latents, whole)


def test_the_compiler_stays_out() -> None:
    """Its import takes longer than everything else that begins a short job."""
    code = (
        "import sys, torch; from rosetta_core.steering.optimise.adam import Adam\n"
        "x = torch.ones(2, requires_grad=True); x.sum().backward(); Adam(x).step(0.1)\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
