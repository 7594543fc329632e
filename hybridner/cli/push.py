"""``hybridner push``."""

from pathlib import Path


def push(
    model: str | Path, repository: str, /, *, private: bool = False, message: str | None = None, dry_run: bool = False
) -> None:
    """Publish a saved model on the Hugging Face Hub: config, tokenizer, weights and card, nothing else.

    Log in first with hf auth login. Read the model's README.md: others will see it as the model's page.

    Args:
        model: A run, or a model folder with safetensors.
        repository: OWNER/NAME on the Hub; created if it does not exist.
        private: Make the repository private.
        message: Message of the commit.
        dry_run: Only report what would be done.
    """
    from hybridner.export.push import push_model

    print(*push_model(str(model), repository, private=private, message=message, dry_run=dry_run), sep="\n")
