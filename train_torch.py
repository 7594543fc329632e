"""Train the PyTorch twin; ``python train_torch.py --help`` lists the options."""

from hybridner.cli.train import main

if __name__ == "__main__":
    main("torch")
