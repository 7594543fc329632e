"""Examples that end each command's help; each can be typed as it is, with your own names in it."""

EXAMPLES = """\
hybridner data check FOLDER
hybridner data check train.conllu --word-column 2 --tag-column 10 --comment '#'
hybridner data check FOLDER --strict --json -
hybridner data convert annotated.jsonl train.conll --misaligned drop
hybridner data convert FOLDER OTHER_FOLDER --scheme BIOES
hybridner data convert sample FOLDER
hybridner data split all.conll FOLDER
hybridner data split all.jsonl FOLDER --by sentence --dev 0.2 --test 0 --seed 7
hybridner train --data FOLDER --output runs/mine
hybridner train --data FOLDER --dry-run
hybridner train --output runs/mine --resume --epochs 60
hybridner train --backend torch --config options.toml --device cuda --dtype bfloat16
hybridner predict runs/mine "Angela Merkel visited Tallinn." --format text
hybridner predict runs/mine --input texts.txt --output tagged.html
hybridner predict runs/mine --input records.jsonl --skip-bad --output tagged.jsonl
hybridner predict runs/mine < texts.txt > tagged.jsonl
hybridner evaluate runs/mine --data FOLDER
hybridner evaluate runs/mine --data more.conll --train FOLDER --html report.html
hybridner evaluate runs/mine --data FOLDER --split dev --backend torch --json -
hybridner compare runs/old runs/new --data FOLDER
hybridner compare runs/mine runs/mine --data FOLDER --backend-a flax --backend-b torch --html report.html
hybridner convert runs/mine runs/moved --to torch
hybridner convert runs/mine/best model --to flax
hybridner convert runs/mine model.pth --to original
hybridner convert model.pth model --to torch --tokenizer vocab.txt
hybridner verify runs/mine
hybridner verify runs/mine model.pth --json report.json
hybridner verify runs/mine --data FOLDER --steps 10 --plot report.png
hybridner push runs/mine OWNER/NAME --dry-run
hybridner push runs/mine OWNER/NAME --private --message "Trained on more data"
hybridner completions bash > ~/.local/share/bash-completion/completions/hybridner
hybridner completions zsh > ~/.zfunc/_hybridner
hybridner completions fish > ~/.config/fish/completions/hybridner.fish
"""


def examples(prog: str) -> str:
    """Return the examples that end the help of ``prog``; a training script has those of ``hybridner train``."""
    name = "hybridner train" if prog.startswith("train_") else prog
    lines = [line for line in EXAMPLES.splitlines() if line.startswith(f"{name} ")]
    if name != prog:
        lines = [line.replace(name, f"python {prog}") for line in lines if "--backend" not in line]
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])
