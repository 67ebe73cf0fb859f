"""Parts of the recipe that trains the embedded tracker: data, prompts, losses, start values, checkpoints, scores."""
