"""Parts of the captioner recipe: words, clips, rough masks, the two training stages, export."""
