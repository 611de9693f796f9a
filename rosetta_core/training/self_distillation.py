"""Self-distillation (DINO): a student predicts, from one crop, its moving average on another.

Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021 (arXiv
2104.14294). With masked patches, the student also predicts the teacher's output for each of them,
as in iBOT (Zhou et al., ICLR 2022, arXiv 2111.07832). The teacher's output for a patch uses all its
blocks, as in data2vec (Baevski et al., ICML 2022, arXiv 2202.03555), and the student sees visible
patches only, as in Masked Siamese Networks (Assran et al., ECCV 2022, arXiv 2204.07141).
"""

import copy
import math
from collections.abc import Sequence

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from rosetta_core.training.masked_autoencoder import PatchDecoder, encode_visible
from rosetta_core.training.recipe import DinoSettings

__all__ = [
    "Branch",
    "ProjectionHead",
    "SelfDistillation",
    "cross_entropy",
    "unique_views",
    "view_loss",
]


class ProjectionHead(nn.Module):
    """Three layers, a bottleneck normalised to unit length, and a weight-normalised last layer."""

    def __init__(self, width: int, settings: DinoSettings) -> None:
        super().__init__()
        hidden = settings.hidden
        norm = nn.BatchNorm1d if settings.batch_norm else nn.Identity
        self.layers = nn.Sequential(
            *(nn.Linear(width, hidden), norm(hidden), nn.GELU()),
            *(nn.Linear(hidden, hidden), norm(hidden), nn.GELU()),
            nn.Linear(hidden, settings.bottleneck),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.last = weight_norm(nn.Linear(settings.bottleneck, settings.outputs, bias=False))
        length = self.last.parametrizations.weight.original0
        nn.init.ones_(length)
        length.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (n, outputs) of features (n, width)."""
        return self.last(functional.normalize(self.layers(features), dim=-1))


def cross_entropy(teacher: Tensor, student: Tensor, *, settings: DinoSettings) -> Tensor:
    """Return the cross-entropy (…,) of teacher and student logits (…, outputs).

    The teacher's logits are already centred, which prevents the collapse to one output. Its lower
    temperature sharpens the targets, which prevents the collapse to a uniform distribution.
    """
    target = functional.softmax(teacher.float() / settings.teacher_temperature, -1)
    log_probability = functional.log_softmax(student.float() / settings.student_temperature, -1)
    return -(target * log_probability).sum(-1)


def view_loss(
    teacher: Sequence[Tensor], student: Sequence[Tensor], *, settings: DinoSettings
) -> Tensor:
    """Return the mean cross-entropy over all pairs of different views (Eq. 3 of the paper).

    Args:
        teacher: centred logits (n, outputs) of each of the first views.
        student: logits (n, outputs) of all views, in the same order.
        settings: temperatures.
    """
    losses = [
        cross_entropy(target, prediction, settings=settings).mean()
        for i, target in enumerate(teacher)
        for j, prediction in enumerate(student)
        if i != j
    ]
    return torch.stack(losses).mean()


def unique_views(views: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Remove views that equal the first view of their image.

    Args:
        views: views of the same images, (n, 3, h, w) each.

    Returns:
        The unique views (m, 3, h, w), and for each input view its index among them (views·n,).
    """
    first, *others = views
    number = torch.arange(len(first), device=first.device)
    images, indices = [first], [number]
    for view in others:
        new = (view != first).flatten(1).any(1)
        count = sum(map(len, images))
        indices.append(torch.where(new, count + new.cumsum(0) - 1, number))
        images.append(view[new])
    return torch.cat(images), torch.cat(indices)


class Branch(nn.Module):
    """An encoder with its projection heads: the student or the teacher.

    Args:
        encoder: timm's vision transformer, built with dynamic_img_size.
        settings: sizes of the heads.
    """

    def __init__(self, encoder: VisionTransformer, settings: DinoSettings) -> None:
        super().__init__()
        self.encoder, self.groups = encoder, settings.groups
        self.head = ProjectionHead(encoder.embed_dim, settings)
        self.patch_head = ProjectionHead(encoder.embed_dim, settings) if settings.masked else None

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """Return logits (views·n, outputs) of views of one size, (n, 3, h, w) each."""
        return self.head(self.encoder(torch.cat(list(views))))

    def with_patches(self, views: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits of views and of all their patches.

        Patch features are the mean over blocks of the blocks' outputs, each normalised over
        channels, as in data2vec. Equal views are encoded once: half of all pairs, where the only
        difference is a random flip.

        Args:
            views: views of one size, (n, 3, h, w) each.

        Returns:
            Logits (views·n, outputs), and patch logits (views·n, patches, groups, outputs/groups).
        """
        encoder = self.encoder
        images, indices = unique_views(views)
        tokens = encoder.norm_pre(encoder._pos_embed(encoder.patch_embed(images)))
        total = torch.zeros_like(tokens[:, encoder.num_prefix_tokens :])  # (m, patches, width)
        for block in encoder.blocks:
            tokens = block(tokens)
            patches = tokens[:, encoder.num_prefix_tokens :]
            total += functional.layer_norm(patches, patches.shape[-1:])
        logits = self.head(encoder.forward_head(encoder.norm(tokens))[indices])
        return logits, self.patch_logits((total / len(encoder.blocks))[indices])

    def patch_logits(self, features: Tensor) -> Tensor:
        """Return logits (…, groups, outputs/groups) of patch features (…, width)."""
        assert self.patch_head is not None, "patches are masked"
        logits = self.patch_head(features.flatten(0, -2))
        return logits.unflatten(-1, (self.groups, -1)).unflatten(0, features.shape[:-1])


class SelfDistillation(nn.Module):
    """A student and its teacher, the student's moving average.

    Args:
        encoder: timm's vision transformer, built with dynamic_img_size.
        settings: temperatures, momenta, and sizes of the heads.
    """

    centre: Tensor
    patch_centre: Tensor

    def __init__(self, encoder: VisionTransformer, settings: DinoSettings) -> None:
        super().__init__()
        self.settings = settings
        self.student = Branch(encoder, settings)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.register_buffer("centre", torch.zeros(settings.outputs))
        self.decoder = None
        if settings.masked:
            self.decoder = PatchDecoder(encoder, settings, encoder.embed_dim)
            patches, outputs = self.decoder.positions.shape[1], settings.outputs // settings.groups
            self.register_buffer("patch_centre", torch.zeros(patches, settings.groups, outputs))

    @property
    def encoder(self) -> VisionTransformer:
        """The teacher's encoder, which is kept after training."""
        return self.teacher.encoder

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """Return the loss of views [(n, 3, h, w)], of which the first two are global crops."""
        global_views, local_views = views[:2], views[2:]
        if self.decoder is None:
            with torch.no_grad():
                targets = self.teacher(global_views)
            predictions, loss = self.student(global_views), torch.zeros(())
        else:
            with torch.no_grad():
                targets, patch_targets = self.teacher.with_patches(global_views)
            predictions, loss = self._masked_step(self.decoder, global_views, patch_targets)
        logits = predictions.chunk(2)
        if local_views:
            logits += self.student(local_views).chunk(len(local_views))
        centred = (targets - self.centre).chunk(2)
        self._update_centre(self.centre, targets)
        return loss + view_loss(centred, logits, settings=self.settings)

    def _masked_step(
        self, decoder: PatchDecoder, global_views: Sequence[Tensor], targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run the student on visible patches; return its logits and the loss of masked patches.

        The loss is the cross-entropy with the teacher's outputs, averaged over masked patches and
        groups. Unlike in iBOT, every position has its own centre: the student knows the position of
        a masked patch, so the targets must not depend on position alone.

        Args:
            decoder: predicts the masked patches.
            global_views: views, (n, 3, h, w) each.
            targets: the teacher's patch logits (views·n, patches, groups, outputs/groups).
        """
        encoder = self.student.encoder
        tokens, visible = encode_visible(encoder, decoder.dropout, torch.cat(list(global_views)))
        masked = torch.ones_like(targets[..., 0, 0], dtype=torch.bool).scatter(1, visible, False)
        predicted = self.student.patch_logits(decoder(tokens, visible)[masked])
        centred = (targets - self.patch_centre)[masked]  # (masked, groups, outputs/groups)
        self._update_centre(self.patch_centre, targets)
        loss = cross_entropy(centred, predicted, settings=self.settings).mean()
        return self.student.head(encoder.forward_head(tokens)), self.settings.patches * loss

    @torch.no_grad()
    def _update_centre(self, centre: Tensor, logits: Tensor) -> None:
        """Move a centre towards the mean of the teacher's logits (Eq. 4 of the paper)."""
        centre.lerp_(logits.mean(0, dtype=torch.float32), 1 - self.settings.centre_momentum)

    def before_step(self, progress: float) -> None:
        """Freeze the heads' last layer at first; `progress` is the share of the steps done."""
        if progress < self.settings.frozen_head:
            for head in (self.student.head, self.student.patch_head):
                for weight in head.last.parameters() if head else ():
                    weight.grad = None

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student; its momentum rises to 1 along a cosine."""
        start = self.settings.momentum
        momentum = 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2
        for old, new in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            old.lerp_(new, 1 - momentum)
