"""Long synthetic streams through the narrator's own code, and what its sentences are worth."""
