"""What a model is worth: predictions, metrics with intervals over subjects, pictures, and a report."""
