"""The zoo: pretrained backbones by name, from raw pixels to features, that can be cut in two at their blocks."""

from gender_pipeline.zoo.build import build_backbone
from gender_pipeline.zoo.cutting import cut, weights_digest
from gender_pipeline.zoo.specs import SPECS, BackboneSpec, get_spec

__all__ = ["SPECS", "BackboneSpec", "build_backbone", "cut", "get_spec", "weights_digest"]
