"""The families of networks, and the module that builds each.

FAMILIES    by family its module, whose `build` takes the architecture's name
"""

__all__ = ["FAMILIES"]

FAMILIES = {
    "biggan": "rosetta_core.zoo.biggan",
    "dcgan": "rosetta_core.zoo.dcgan",
    "mtcnn_onet": "rosetta_core.zoo.mtcnn_onet",
    "open_clip": "rosetta_core.zoo.open_clip_encoder",
    "python": "rosetta_core.zoo.own_model",
    "stylegan2": "rosetta_core.zoo.stylegan2",
    "stylegan2_rosinality": "rosetta_core.zoo.stylegan2_rosinality",
    "stylegan3": "rosetta_core.zoo.stylegan3",
    "stylegan_xl": "rosetta_core.zoo.stylegan_xl",
    "timm": "rosetta_core.zoo.timm_encoder",
    "torchvision": "rosetta_core.zoo.torchvision_encoder",
}
