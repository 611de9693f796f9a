"""DINO: a student predicts, from a crop, what its own moving average says of another crop.

SelfDistillation      student, teacher, and the loss of views
Branch                an encoder with its head: either of them
ProjectionHead        what stands on the encoder while it is trained
cross_entropy         between a teacher's and a student's answers
loss_of_views         of all pairs of different views

Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021 (arXiv
2104.14294); if patches are hidden, with the second loss of Zhou et al., iBOT: Image BERT
Pre-Training with Online Tokenizer, ICLR 2022 (arXiv 2111.07832).
"""

import copy
import math
from collections.abc import Sequence

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from rosetta_core.config import training

__all__ = ["Branch", "ProjectionHead", "SelfDistillation", "cross_entropy", "loss_of_views"]


class ProjectionHead(nn.Module):
    """Three layers, a bottleneck of unit length, and a last layer of weights of unit length."""

    def __init__(self, width: int, method: training.SelfDistillation) -> None:
        super().__init__()
        hidden = method.hidden
        normed = nn.BatchNorm1d if method.batch_norm else nn.Identity
        self.layers = nn.Sequential(
            *(nn.Linear(width, hidden), normed(hidden), nn.GELU()),
            *(nn.Linear(hidden, hidden), normed(hidden), nn.GELU()),
            nn.Linear(hidden, method.bottleneck),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.last = weight_norm(nn.Linear(method.bottleneck, method.outputs, bias=False))
        length = self.last.parametrizations.weight.original0
        nn.init.ones_(length)
        length.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """Turn features (n, width) into logits (n, outputs)."""
        return self.last(functional.normalize(self.layers(features), dim=-1))


def cross_entropy(teacher: Tensor, student: Tensor, *, method: training.SelfDistillation) -> Tensor:
    """Return the cross-entropy (…,) of a teacher's and a student's logits (…, outputs).

    The teacher's are centred already: without that, all would soon say the same. The lower
    temperature sharpens its answers, which keeps them from becoming uniform.
    """
    target = functional.softmax(teacher.float() / method.teacher_temperature, -1)
    guess = functional.log_softmax(student.float() / method.student_temperature, -1)
    return -(target * guess).sum(-1)


def loss_of_views(
    teacher: Sequence[Tensor], student: Sequence[Tensor], *, method: training.SelfDistillation
) -> Tensor:
    """Return the mean cross-entropy over all pairs of different views (Eq. 3 of the paper).

    Args:
        teacher: centred logits (n, outputs) of the first views.
        student: logits of all views, in the same order.
        method: its temperatures.
    """
    losses = [
        cross_entropy(answer, guess, method=method).mean()
        for i, answer in enumerate(teacher)
        for j, guess in enumerate(student)
        if i != j
    ]
    return torch.stack(losses).mean()


class Branch(nn.Module):
    """An encoder and the head on it: the student, or the teacher."""

    def __init__(self, encoder: VisionTransformer, method: training.SelfDistillation) -> None:
        super().__init__()
        self.encoder, self.head = encoder, ProjectionHead(encoder.embed_dim, method)
        self.mask_token = nn.Parameter(torch.zeros(encoder.embed_dim))

    def forward(self, views: Sequence[Tensor], hidden: Tensor | None = None) -> tuple[Tensor, ...]:
        """Turn views of one size into logits of the views, and into tokens of their patches.

        Args:
            views: one or several, (n, 3, h, w) each.
            hidden: which patches (views·n, patches) are covered by the mask token; none unless
                given.

        Returns:
            Logits (views·n, outputs), and tokens (views·n, patches, width).
        """
        encoder = self.encoder
        patches = encoder.patch_embed(torch.cat(list(views)))  # (views·n, rows, columns, width)
        if hidden is not None:
            covered = hidden.unflatten(1, patches.shape[1:3])[..., None]
            patches = torch.where(covered, self.mask_token.to(patches.dtype), patches)
        tokens = encoder.norm_pre(encoder._pos_embed(patches))
        tokens = encoder.norm(encoder.blocks(tokens))  # (views·n, prefix + patches, width)
        return self.head(encoder.forward_head(tokens)), tokens[:, encoder.num_prefix_tokens :]

    def of_patches(self, tokens: Tensor) -> Tensor:
        """Turn tokens (n, patches, width) into logits (n, patches, outputs)."""
        return self.head(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2])


class SelfDistillation(nn.Module):
    """A student and its teacher.

    Args:
        encoder: timm's, with dynamic_img_size.
        method: temperatures, momenta, head.
    """

    centre: Tensor
    patch_centre: Tensor

    def __init__(self, encoder: VisionTransformer, method: training.SelfDistillation) -> None:
        super().__init__()
        self.method = method
        self.student = Branch(encoder, method)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.register_buffer("centre", torch.zeros(method.outputs))
        side = encoder.patch_embed.patch_size[0]
        size = method.global_size or encoder.patch_embed.img_size[0]
        self.register_buffer("patch_centre", torch.zeros((size // side) ** 2, method.outputs))

    @property
    def encoder(self) -> VisionTransformer:
        """The teacher's, which is kept in the end."""
        return self.teacher.encoder

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """Return the loss of views [(n, 3, h, w)], of which the first two are the large ones."""
        large, small = views[:2], views[2:]
        with torch.no_grad():
            answers, answered = self.teacher(large)
        hidden = self._hidden(len(answers)) if self.method.masked else None
        guesses, guessed = self.student(large, hidden)
        logits = guesses.chunk(2)
        if small:
            logits += self.student(small)[0].chunk(len(small))
        centred = (answers - self.centre).chunk(2)
        loss = loss_of_views(centred, logits, method=self.method)
        self._follow(self.centre, answers)
        return loss if hidden is None else loss + self._loss_of_patches(answered, guessed, hidden)

    def _loss_of_patches(self, answered: Tensor, guessed: Tensor, hidden: Tensor) -> Tensor:
        """The mean cross-entropy over the patches that the student didn't see (Eq. 2 of iBOT).

        Every place has a centre of its own, which is not in iBOT: where a patch is, the student
        knows without having seen anything, so the teacher's answers are to say something else.

        Args:
            answered: the teacher's tokens (views·n, patches, width).
            guessed: the student's.
            hidden: which of them it didn't see (views·n, patches).
        """
        with torch.no_grad():
            answers = self.teacher.of_patches(answered)
        guesses = self.student.of_patches(guessed)
        centred = (answers - self.patch_centre)[hidden]
        self._follow(self.patch_centre, answers)
        return cross_entropy(centred, guesses[hidden], method=self.method).mean()

    def _hidden(self, count: int) -> Tensor:
        """Draw which patches of large crops (count, patches) the student does not see."""
        patches = len(self.patch_centre)
        chance = torch.rand(count, patches, device=self.patch_centre.device)
        places = chance.argsort(1)[:, : max(1, round(self.method.masked * patches))]
        return torch.zeros_like(chance, dtype=torch.bool).scatter(1, places, True)

    @torch.no_grad()
    def _follow(self, centre: Tensor, answers: Tensor) -> None:
        """Let a centre follow the mean of the teacher's logits (Eq. 4 of the paper)."""
        centre.lerp_(answers.float().mean(0), 1 - self.method.centre_momentum)

    def before_step(self, done: float) -> None:
        """Leave the head's last layer as it is at first; `done` is the share of the steps."""
        if done < self.method.frozen_head:
            for weight in self.student.head.last.parameters():
                weight.grad = None

    @torch.no_grad()
    def after_step(self, done: float) -> None:
        """Let the teacher follow the student, ever more slowly."""
        start = self.method.momentum
        momentum = 1 - (1 - start) * (math.cos(math.pi * done) + 1) / 2
        for kept, new in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            kept.lerp_(new, 1 - momentum)
