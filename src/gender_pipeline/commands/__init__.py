"""One module a topic of the commands of `gender-pipeline`; whatever is heavy is imported inside a command."""
