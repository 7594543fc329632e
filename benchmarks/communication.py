"""Cost of a step's all-reduce against its compute on several devices: computed, not measured.

``python -m benchmarks.communication`` prints the tables of docs/scaling.md.
"""

from dataclasses import dataclass

PARAMETERS = 13.1e6
FLOP_A_PIECE = 31.6e6
PIECES_A_SENTENCE = 19.95
REAL_SHARE = 0.94
REACHED = 0.1
COUNTS = (2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True, slots=True)
class System:
    """Devices with a link between them.

    Attributes:
        name: of the devices.
        peak: FLOP/s of a device's matrix units.
        rate: bytes/s that a device sends in a ring.
        latency: seconds that each of the ring's 2·(n − 1) steps adds to the bytes' time.
        counts: numbers of devices.
    """

    name: str
    peak: float
    rate: float
    latency: float
    counts: tuple[int, ...]

    def compute(self, batch_size: int, devices: int) -> float:
        """Return the seconds of a step's matrix products on each of ``devices``."""
        pieces = batch_size * PIECES_A_SENTENCE / REAL_SHARE
        return pieces * FLOP_A_PIECE / (REACHED * self.peak) / devices

    def all_reduce(self, devices: int) -> float:
        """Return the seconds of a ring all-reduce of the gradients."""
        if devices == 1:
            return 0.0
        return ring_bytes(devices) / self.rate + 2 * (devices - 1) * self.latency

    def speed_up(self, batch_size: int, devices: int) -> float:
        """Return the speed-up over one device if compute hides nothing of the all-reduce."""
        one = self.compute(batch_size, 1)
        return one / (self.compute(batch_size, devices) + self.all_reduce(devices))


SYSTEMS = (
    System("H100, NVLink (one host)", 495e12, 360e9, 2e-6, (2, 4, 8)),
    System("TPU v5e", 197e12, 90e9, 1e-6, COUNTS),
    System("TPU v5p", 459e12, 180e9, 1e-6, COUNTS),
)


def ring_bytes(devices: int) -> float:
    """Return the bytes that each device sends, and receives, in a ring all-reduce of float32 gradients."""
    return 2 * (devices - 1) / devices * 4 * PARAMETERS


def main() -> None:
    """Print the tables."""
    print("| devices | bytes per step and device |\n|---|---|")
    for devices in COUNTS:
        print(f"| {devices} | {ring_bytes(devices) / 1e6:.1f} MB |")
    for batch_size in (64, 1024):
        print(f"\nbatch {batch_size:,}\n")
        print("| | devices | compute | all-reduce | speed-up |\n|---|---|---|---|---|")
        for system in SYSTEMS:
            for devices in system.counts:
                compute, reduce = system.compute(batch_size, devices), system.all_reduce(devices)
                print(
                    f"| {system.name} | {devices} | {compute * 1e3:.2f} ms | {reduce * 1e3:.2f} ms "
                    f"| {system.speed_up(batch_size, devices):.1f} |"
                )


if __name__ == "__main__":
    main()
