"""How well a tracker that finds its objects itself follows long streams: what is recorded, and the scores of it."""
