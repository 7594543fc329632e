"""The table of characters and what each is replaced by that a tokenizer of SentencePiece has, checked.

It holds a double array (Aoe 1989), as the library Darts-clone lays it out in units of 32 bits, whose leaves point into
text with a NUL after each piece. ``tokenizers`` follows it without looking, and a damaged one ends in a panic.
"""

import numpy as np

_LARGEST = 2**22  # bytes; those of SentencePiece have 250,000
_LONGEST = 64  # bytes of a replacement; U+FDFA has 33
_BLOCK = 256
_AT_ONCE = 4096
_VALUE = np.uint32(2**31 - 1)
_LABEL = np.uint32(2**31 | 255)


def longest_replacement(table: bytes) -> int:
    """Characters of the longest text that the table replaces a character by.

    Raises:
        ValueError: the table is damaged, or larger than any in use.
    """
    if len(table) > _LARGEST:
        raise ValueError(f"a table of characters of {len(table):,} bytes; at most {_LARGEST:,} are read")
    size = int.from_bytes(table[:4], "little")
    texts = table[4 + size :]
    # Every byte leads into the block that its unit is in, so whole blocks leave no way out.
    if not texts or size == 0 or size % (4 * _BLOCK) or texts[-1]:
        raise ValueError("a damaged table of characters")
    texts.decode()
    longest = max(map(len, texts.split(b"\0")))
    if longest > _LONGEST:
        raise ValueError(f"a table of characters that replaces one by {longest:,} bytes; at most {_LONGEST} are read")
    for value in np.unique(_leaves(np.frombuffer(table, "<u4", size // 4, 4))).tolist():
        if value >= len(texts) or texts[value] & 0xC0 == 0x80:  # in the middle of a character
            raise ValueError("a damaged table of characters")
    return longest


def _leaves(units: np.ndarray) -> np.ndarray:
    """The values of all leaves that can be reached."""
    bytes_ = np.arange(1, 256, dtype=np.int64)
    seen = np.zeros(len(units), bool)
    values = [np.zeros(0, np.int64)]
    waiting = [_next(units, np.zeros(1, np.int64))]
    while waiting:
        bases = np.unique(waiting.pop())
        bases = bases[~seen[bases]]
        seen[bases] = True
        for start in range(0, len(bases), _AT_ONCE):
            children = bases[start : start + _AT_ONCE, None] ^ bytes_
            found = children[units[children] & _LABEL == bytes_]
            if len(found):
                below = _next(units, found)
                ends = units[found] >> np.uint32(8) & np.uint32(1) == 1
                values.append((units[below[ends]] & _VALUE).astype(np.int64))
                waiting.append(below)
    return np.concatenate(values)


def _next(units: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Where the children of ``places`` begin."""
    held = units[places].astype(np.int64)
    below = places ^ ((held >> 10) << ((held & 512) >> 6))
    if below.max() >= len(units):
        raise ValueError("a damaged table of characters")
    return below
