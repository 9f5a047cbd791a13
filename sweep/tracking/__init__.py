"""The one owner of a study's MLflow runs."""

from sweep.tracking.study_tracking import StudyTracking, tracking_uri

__all__ = ["StudyTracking", "tracking_uri"]
