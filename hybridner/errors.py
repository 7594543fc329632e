"""The one kind of error that is the user's to mend."""


class InputError(ValueError):
    """A mistake in what the user gave: a file, an option, a checkpoint, a missing package.

    The message is one line that says what is wrong, where (``file:line``, key or shape), what was
    expected and how to mend it. Commands print it without a traceback and exit with code 2.
    """
