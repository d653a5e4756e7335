"""From photos to train, validation and test: by subject, near-duplicates joined, stratified, stable under growth."""

from gender_pipeline.splitting.assign import split_photos
from gender_pipeline.splitting.audit import audit_split, protocol_text, stratification_error
from gender_pipeline.splitting.duplicates import group_subjects
from gender_pipeline.splitting.protocols import official_folds
from gender_pipeline.splitting.settings import Shares, SplittingSettings

__all__ = [
    "Shares",
    "SplittingSettings",
    "audit_split",
    "group_subjects",
    "official_folds",
    "protocol_text",
    "split_photos",
    "stratification_error",
]
