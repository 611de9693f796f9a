"""The offline face zoo: real networks whose weights lie in the package index or in this package.

face_generator    the pivot of the default configuration
face_encoders     its encoders
face_steering     what is done with them
"""

from rosetta_core.config.images import Perceptual, Target
from rosetta_core.config.steering import Edit, Evaluation, Inversion, Show, Steering
from rosetta_core.zoo.model_spec import EncoderSpec, ModelSpec

__all__ = ["face_encoders", "face_generator", "face_steering"]

ASTRONAUT = Target(sample="astronaut", box=[148, 28, 152])
CAT = Target(sample="chelsea", box=[98, 0, 300])
ENCODERS = ("efficientnet_lite0", "mobilenet_v2", "mtcnn_onet", "mae_faces", "dino_faces")


def face_generator() -> ModelSpec:
    """A DCGAN that draws faces."""
    return ModelSpec.model_validate("dcgan")


def face_encoders() -> list[EncoderSpec]:
    """Two classifiers, a face detector, and two transformers that were taught without labels."""
    return [EncoderSpec.model_validate(name) for name in ENCODERS]


def face_steering() -> Steering:
    """A small job of every kind."""
    early = ["features.1.conv.0.2", "features.3.conv.1.2", "features.6.conv.1.2"]
    sketch = ASTRONAUT.model_copy(update={"sketch": True})
    return Steering(
        # layers near the image, which tell the latent where to go from afar
        perceptual=Perceptual(encoder="mobilenet_v2", size=64, layers=early),
        judge=Perceptual(encoder="efficientnet_lite0", size=112),
        invert=[
            Inversion(name="astronaut", image=ASTRONAUT, steps=300),
            Inversion(name="cat", image=CAT, steps=300),
            Inversion(name="sketch", image=sketch, steps=300),
        ],
        show=[Show(name=f"concept-{concept}", concept=concept) for concept in (1, 23, 30)],
        edit=[
            Edit(name="zoom", of_seed=41, do="zoom"),
            Edit(name="shift-left", of_seed=41, do="shift", right=-0.25),
            Edit(name="shift-right", of_seed=41, do="shift"),
            Edit(name="copy-paste", of_seed=41, do="copy_paste", starts=3),
            Edit(name="remove-concept-30", of_seed=41, do="remove", concept=30),
        ],
        evaluate=[
            Evaluation(name="table-1-short", seeds=4, images=[ASTRONAUT, CAT], steps=100),
        ],
    )
