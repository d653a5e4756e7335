"""From photos to train, validation and test: by subject, near-duplicates joined, stratified, stable under growth."""

from gender_pipeline.splitting.assign import split_photos
from gender_pipeline.splitting.audit import audit_split, stratification_error
from gender_pipeline.splitting.duplicates import group_subjects
from gender_pipeline.splitting.settings import Shares, SplittingSettings

__all__ = ["Shares", "SplittingSettings", "audit_split", "group_subjects", "split_photos", "stratification_error"]
