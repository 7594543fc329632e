"""Options of a run that trains in a second, for tests that start, stop and resume runs."""

NAMES = ("Anna", "Berta", "Carl", "Dora", "Emil", "Frida", "Gustav", "Hanna", "Ida", "Jan", "Karl", "Lena")
SMALL = {
    "preset": "tiny",
    "hidden_size": 16,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "vocab_size": 200,
    "max_length": 32,
    "batch_size": 12,
}
