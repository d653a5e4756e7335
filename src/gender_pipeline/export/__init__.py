"""Export: the predictor (`predictor`), and the same as an MLflow model (`pyfunc`)."""
