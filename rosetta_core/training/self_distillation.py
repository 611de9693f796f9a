"""DINO: a student predicts, from a crop, what its own moving average says of another crop.

SelfDistillation      student, teacher, and the loss of views
Branch                an encoder with its heads: either of them
ProjectionHead        what stands on the encoder while it is trained
distinct              which of views are the same
cross_entropy         between a teacher's and a student's answers
loss_of_views         of all pairs of different views

Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021 (arXiv
2104.14294). If patches are hidden, the student is also to say what the teacher says of each of
them, as in Zhou et al., iBOT: Image BERT Pre-Training with Online Tokenizer, ICLR 2022 (arXiv
2111.07832); the teacher's answer about a patch is that of all blocks, as in Baevski et al.,
data2vec, ICML 2022 (arXiv 2202.03555), and the student sees only the others, as in Assran et al.,
Masked Siamese Networks, ECCV 2022 (arXiv 2204.07141).
"""

import copy
import math
from collections.abc import Sequence

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from rosetta_core.training import recipe as training
from rosetta_core.training.masked_patches import Decoder, seen

__all__ = [
    "Branch",
    "ProjectionHead",
    "SelfDistillation",
    "cross_entropy",
    "distinct",
    "loss_of_views",
]


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


def distinct(views: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the different ones (m, 3, h, w) of all views, and which each of them is (views·n,).

    A view is compared with the first one of its image.

    Args:
        views: of the same images, (n, 3, h, w) each.
    """
    first, *others = views
    number = torch.arange(len(first), device=first.device)
    images, of = [first], [number]
    for view in others:
        new = (view != first).flatten(1).any(1)
        count = sum(map(len, images))
        of.append(torch.where(new, count + new.cumsum(0) - 1, number))
        images.append(view[new])
    return torch.cat(images), torch.cat(of)


class Branch(nn.Module):
    """An encoder and the heads on it: the student, or the teacher.

    Args:
        encoder: timm's, with dynamic_img_size.
        method: how large the heads are.
    """

    def __init__(self, encoder: VisionTransformer, method: training.SelfDistillation) -> None:
        super().__init__()
        self.encoder, self.groups = encoder, method.groups
        self.head = ProjectionHead(encoder.embed_dim, method)
        self.patch_head = ProjectionHead(encoder.embed_dim, method) if method.masked else None

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """Turn views of one size, (n, 3, h, w) each, into logits (views·n, outputs)."""
        return self.head(self.encoder(torch.cat(list(views))))

    def with_patches(self, views: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the same logits, and those of patches (views·n, patches, groups, outputs each).

        A patch is answered for from the mean of what all blocks make of it, each brought to mean
        0 and variance 1 over its channels, as in data2vec. Views that are the same are encoded
        once: half of all pairs, where views differ by being mirrored or not.
        """
        encoder = self.encoder
        images, of = distinct(views)
        tokens = encoder.norm_pre(encoder._pos_embed(encoder.patch_embed(images)))
        made = torch.zeros_like(tokens[:, encoder.num_prefix_tokens :])  # (m, patches, width)
        for block in encoder.blocks:
            tokens = block(tokens)
            patches = tokens[:, encoder.num_prefix_tokens :]
            made += functional.layer_norm(patches, patches.shape[-1:])
        logits = self.head(encoder.forward_head(encoder.norm(tokens))[of])
        return logits, self.of_patches((made / len(encoder.blocks))[of])

    def of_patches(self, features: Tensor) -> Tensor:
        """Turn features (…, width) of patches into logits (…, groups, outputs each)."""
        assert self.patch_head is not None, "patches are hidden"
        logits = self.patch_head(features.flatten(0, -2))
        return logits.unflatten(-1, (self.groups, -1)).unflatten(0, features.shape[:-1])


class SelfDistillation(nn.Module):
    """A student and its teacher.

    Args:
        encoder: timm's, with dynamic_img_size.
        method: temperatures, momenta, heads.
    """

    centre: Tensor
    patch_centre: Tensor

    def __init__(self, encoder: VisionTransformer, method: training.SelfDistillation) -> None:
        super().__init__()
        self.method = method
        self.student = Branch(encoder, method)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.register_buffer("centre", torch.zeros(method.outputs))
        self.decoder = None
        if method.masked:
            self.decoder = Decoder(encoder, method, encoder.embed_dim)
            patches, each = self.decoder.positions.shape[1], method.outputs // method.groups
            self.register_buffer("patch_centre", torch.zeros(patches, method.groups, each))

    @property
    def encoder(self) -> VisionTransformer:
        """The teacher's, which is kept in the end."""
        return self.teacher.encoder

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """Return the loss of views [(n, 3, h, w)], of which the first two are the large ones."""
        large, small = views[:2], views[2:]
        if self.decoder is None:
            with torch.no_grad():
                answers = self.teacher(large)
            guesses, loss = self.student(large), torch.zeros(())
        else:
            with torch.no_grad():
                answers, answered = self.teacher.with_patches(large)
            guesses, loss = self._with_hidden_patches(self.decoder, large, answered)
        logits = guesses.chunk(2)
        if small:
            logits += self.student(small).chunk(len(small))
        centred = (answers - self.centre).chunk(2)
        self._follow(self.centre, answers)
        return loss + loss_of_views(centred, logits, method=self.method)

    def _with_hidden_patches(
        self, decoder: Decoder, large: Sequence[Tensor], answered: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Let the student see a part of the patches; return its logits, and the loss of the others.

        That is the cross-entropy with what the teacher, who sees all, says of them: summed over
        groups, in units of a group's logits. Every place has a centre of its own, unlike in iBOT:
        where a patch is, the student knows without having seen anything, so the teacher's answers
        are to say something else.

        Args:
            decoder: answers for the patches that it didn't see.
            large: views, (n, 3, h, w) each.
            answered: the teacher's logits of patches (views·n, patches, groups, outputs each).
        """
        encoder = self.student.encoder
        tokens, kept = seen(encoder, decoder.hide, torch.cat(list(large)))
        hidden = torch.ones_like(answered[..., 0, 0], dtype=torch.bool).scatter(1, kept, False)
        guessed = self.student.of_patches(decoder(tokens, kept)[hidden])  # (hidden, groups, each)
        centred = (answered - self.patch_centre)[hidden]
        self._follow(self.patch_centre, answered)
        loss = cross_entropy(centred, guessed, method=self.method).mean()
        return self.student.head(encoder.forward_head(tokens)), self.method.patches * loss

    @torch.no_grad()
    def _follow(self, centre: Tensor, answers: Tensor) -> None:
        """Let a centre follow the mean of the teacher's logits (Eq. 4 of the paper)."""
        centre.lerp_(answers.mean(0, dtype=torch.float32), 1 - self.method.centre_momentum)

    def before_step(self, done: float) -> None:
        """Leave the head's last layer as it is at first; `done` is the share of the steps."""
        if done < self.method.frozen_head:
            for head in (self.student.head, self.student.patch_head):
                for weight in head.last.parameters() if head else ():
                    weight.grad = None

    @torch.no_grad()
    def after_step(self, done: float) -> None:
        """Let the teacher follow the student, ever more slowly."""
        start = self.method.momentum
        momentum = 1 - (1 - start) * (math.cos(math.pi * done) + 1) / 2
        for kept, new in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            kept.lerp_(new, 1 - momentum)
