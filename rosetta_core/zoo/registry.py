"""The families of networks, and the module that builds each.

FAMILIES    by family its module, whose `build` takes the architecture's name
"""

__all__ = ["FAMILIES"]

FAMILIES = {
    "biggan": "rosetta_core.zoo.generators.biggan.generator",
    "dcgan": "rosetta_core.zoo.generators.dcgan",
    "mtcnn_onet": "rosetta_core.zoo.encoders.mtcnn_onet",
    "open_clip": "rosetta_core.zoo.encoders.open_clip",
    "python": "rosetta_core.zoo.user_model",
    "stylegan2": "rosetta_core.zoo.generators.stylegan2.generator",
    "stylegan2_rosinality": "rosetta_core.zoo.generators.stylegan2.rosinality",
    "stylegan3": "rosetta_core.zoo.generators.stylegan3.generator",
    "stylegan_xl": "rosetta_core.zoo.generators.stylegan3.stylegan_xl",
    "timm": "rosetta_core.zoo.encoders.timm",
    "torchvision": "rosetta_core.zoo.encoders.torchvision",
}
