"""Options, presets and the files that hold them."""
