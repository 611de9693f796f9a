"""Models and steering jobs of the default configuration: the offline face zoo.

Weights are in packages of the package index or in this package.
"""

from rosetta_core.config.edits import Edit
from rosetta_core.config.images import DistanceSpec, PerceptualSettings, TargetImage
from rosetta_core.config.steering import ActivationMaximisation, Evaluation, Inversion, Steering
from rosetta_core.zoo.model_spec import EncoderSpec, ModelSpec

__all__ = ["face_encoders", "face_generator", "face_steering"]

ASTRONAUT = TargetImage(sample="astronaut", box=[148, 28, 152])
CAT = TargetImage(sample="chelsea", box=[98, 0, 300])
ENCODERS = ("efficientnet_lite0", "mobilenet_v2", "mtcnn_onet", "mae_faces", "dino_faces")


def face_generator() -> ModelSpec:
    """Return a DCGAN of faces, the pivot."""
    return ModelSpec.model_validate("dcgan")


def face_encoders() -> list[EncoderSpec]:
    """Return two classifiers, a face detector, and two self-supervised transformers."""
    return [EncoderSpec.model_validate(name) for name in ENCODERS]


def face_steering() -> Steering:
    """Return small jobs of four kinds: inversion, activation maximisation, edit and evaluation."""
    early = ["features.1.conv.0.2", "features.3.conv.1.2", "features.6.conv.1.2"]
    sketch = ASTRONAUT.model_copy(update={"sketch": True})
    return Steering(
        perceptual=PerceptualSettings(
            # early layers, which give a useful gradient far from the target
            loss=DistanceSpec(encoder="mobilenet_v2", size=64, layers=early),
            evaluation=DistanceSpec(encoder="efficientnet_lite0", size=112),
        ),
        invert=[
            Inversion(name="astronaut", image=ASTRONAUT, steps=300),
            Inversion(name="cat", image=CAT, steps=300),
            Inversion(name="sketch", image=sketch, steps=300),
        ],
        show=[
            ActivationMaximisation(name=f"concept-{concept}", concept=concept)
            for concept in (1, 23, 30)
        ],
        edit=[
            Edit(name="zoom", source_seed=41, kind="zoom"),
            Edit(name="shift-left", source_seed=41, kind="shift", dx=-0.25),
            Edit(name="shift-right", source_seed=41, kind="shift"),
            Edit(name="copy-paste", source_seed=41, kind="copy_paste", restarts=3),
            Edit(name="remove-concept-30", source_seed=41, kind="remove", concept=30),
        ],
        evaluate=[
            Evaluation(name="table-1-short", seeds=4, images=[ASTRONAUT, CAT], steps=100),
        ],
    )
