"""Views of a photo: the distortions it is trained with and the crops it is tested with."""

from pydantic import Field

from gender_pipeline.schema import Settings


class Augmentation(Settings):
    """Random distortions of the train photos, after TensorFlow's Inception retraining tutorial.

    Attributes:
        views: How many views of a photo are kept where layers are frozen, the photo as it is first; an epoch takes one
            at random. Where nothing is frozen every epoch draws a new one, and this is not used.
        flip: Whether half of the views are mirrored.
        crop: Most that is cut off height and width, as a share, in [0, 0.5]; the rest is scaled up again.
        brightness: Most by which a view is made brighter or darker, as a share, in [0, 0.9].
    """

    views: int = Field(default=1, ge=1, le=64)
    flip: bool = False
    crop: float = Field(default=0.0, ge=0.0, le=0.5)
    brightness: float = Field(default=0.0, ge=0.0, le=0.9)
