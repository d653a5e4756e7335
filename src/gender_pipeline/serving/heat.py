"""The heat map of a prepared photo."""

from gender_pipeline.export.predictor import FaceAnswer, Predictor, Prepared
from gender_pipeline.images.faces import square_around
from gender_pipeline.serving.answers import HeatMap, face_result
from gender_pipeline.serving.heat_map import occlusion_map
from gender_pipeline.serving.limits import RefusedError


def heat_map(predictor: Predictor, photo: Prepared, face: int) -> HeatMap:
    """Show what the answer for one of n faces hangs on.

    Raises:
        RefusedError: 422, the photo has fewer faces.
    """
    if face >= len(photo.pixels):
        raise RefusedError(
            422, "the photo has no such face", expected=f"one of its {len(photo.pixels)} faces", received=f"face {face}"
        )
    pixels = photo.pixels[face]
    probabilities = predictor.classify(pixels[None])[0]
    grid = occlusion_map(predictor, pixels, int(probabilities.argmax()))
    square = square_around(photo.boxes[face]) if photo.boxes else None
    answer = face_result(FaceAnswer(square, probabilities), predictor.class_names)
    return HeatMap(grid=grid.tolist(), box=answer.box, label=answer.label, probability=answer.probability)
