"""Export: the predictor (`predictor`), the networks it runs (`networks`), and it as an MLflow model (`pyfunc`)."""
