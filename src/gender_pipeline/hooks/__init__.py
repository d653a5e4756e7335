"""What happens around a run: project paths in the configuration, tracking in MLflow, the summary at the end."""
