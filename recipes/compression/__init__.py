"""Parts of the comparison of compressions: settings, a small captioner with scene tokens, its training and scores."""
