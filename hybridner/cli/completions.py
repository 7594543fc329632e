"""``hybridner completions``."""

from typing import Literal


def completions(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a script that completes commands, options and files with TAB.

    bash: write it to ~/.local/share/bash-completion/completions/hybridner, or source it in ~/.bashrc.
    zsh: write it to a file _hybridner in a folder of $fpath, which compinit reads.
    fish: write it to ~/.config/fish/completions/hybridner.fish.

    Args:
        shell: The shell that reads the script.
    """
    from hybridner.cli import make_app

    print(make_app().generate_completion(shell=shell))
