"""The families of networks, and the module that builds each.

FAMILIES    by family its module, whose `build` takes the architecture's name
"""

__all__ = ["FAMILIES"]

FAMILIES = {
    "dcgan": "rosetta_core.zoo.dcgan",
    "mtcnn_onet": "rosetta_core.zoo.mtcnn_onet",
    "timm": "rosetta_core.zoo.timm_encoder",
    "torchvision": "rosetta_core.zoo.torchvision_encoder",
}
