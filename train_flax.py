"""Train the Flax twin; ``python train_flax.py --help`` lists the options."""

from hybridner.cli.train import main

if __name__ == "__main__":
    main("flax")
