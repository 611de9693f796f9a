"""A UNet that is called and built as diffusers' are, so small that tests run it.

UNet2DModel    down, middle and up, of ResNet blocks that see the timestep
"""

from types import SimpleNamespace

import torch
from torch import Tensor, nn


class ResnetBlock2D(nn.Module):
    def __init__(self, wide: int, out: int, time: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(wide, out, 3, padding=1)
        self.time_emb_proj = nn.Linear(time, out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(wide, out, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        hidden = self.conv1(x) + self.time_emb_proj(time)[:, :, None, None]
        return self.conv_shortcut(x) + self.conv2(nn.functional.silu(hidden))


class Block(nn.Module):
    def __init__(self, wide: int, out: int, time: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([ResnetBlock2D(wide, out, time)])

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.resnets[0](x, time)


class UNet2DModel(nn.Module):
    """Called with (sample, timestep); returns an object whose `sample` is the noise."""

    def __init__(self, size: int = 32, time: int = 8) -> None:
        super().__init__()
        self.config = SimpleNamespace(sample_size=size)
        self.time = time
        self.conv_in = nn.Conv2d(3, 8, 3, padding=1)
        self.down_blocks = nn.ModuleList([Block(8, 8, time), Block(8, 16, time)])
        self.mid_block = Block(16, 16, time)
        self.up_blocks = nn.ModuleList([Block(32, 16, time), Block(24, 8, time)])
        self.conv_out = nn.Conv2d(8, 3, 3, padding=1)

    @classmethod
    def from_pretrained(cls, name: str) -> "UNet2DModel":
        torch.manual_seed(len(name))
        return cls()

    def forward(self, sample: Tensor, timestep: int) -> SimpleNamespace:
        rates = torch.arange(1, self.time + 1, device=sample.device) / 100
        time = torch.sin(timestep * rates).expand(len(sample), -1)
        x, skipped = self.conv_in(sample), []
        for block in self.down_blocks:
            x = block(x, time)
            skipped.append(x)
            x = nn.functional.avg_pool2d(x, 2)
        x = self.mid_block(x, time)
        for block in self.up_blocks:
            x = nn.functional.interpolate(x, scale_factor=2.0)
            x = block(torch.cat([x, skipped.pop()], 1), time)
        return SimpleNamespace(sample=self.conv_out(x))
