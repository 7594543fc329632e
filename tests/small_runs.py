"""What a run takes that trains in a second, for tests of how runs begin, stop and go on."""

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
