"""The gallery: runs examples in full and writes docs/gallery/*.png and docs/gallery.md.

    python docs/make_gallery.py [--only NUMBER ...]

With --only the other figures stay as they are. The page is made of the examples' docstrings and of `CAPTIONS`.
"""

import argparse
import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
sys.path.append(str(EXAMPLES))
from notebooks import plain  # noqa: E402 - it stands beside the examples

LARGEST = 150_000  # bytes of one figure

CAPTIONS = {
    "linear_systems": "Orbits of maps of one and two states, planes of maps and flows, eigenvalues in the unit circle.",
    "linear_planes": "Stability over trace and determinant, growth before decay, its size over eigenvalue and shear.",
    "power_method_to_lyapunov": "Convergence of the iterations under a matrix; growth along a chaotic trajectory.",
    "fitzhugh_nagumo": "Phase planes and time series for two currents, with the linearized system (dotted).",
    "fitzhugh_nagumo_hopf": "Range of the voltage in the long run from two starts, with the Hopf points.",
    "fitzhugh_nagumo_plane": "Both Lyapunov exponents over current and recovery, with the exact Hopf lines.",
    "random_network_linear": "What a linearization misses, spectra at rest, and growth at rest of many small networks.",
    "random_network": "Five units of a linear and of a nonlinear network of 500, below and above the border.",
    "random_network_chaos": "Spectrum at rest, and the largest exponent of one network over the gain, beside theory.",
    "random_network_trajectories": "Five units of the network at rest, in regular motion and in chaos.",
    "hebbian_pair_planes": "Phase planes with frozen weights (above) and with weights at rest (below).",
    "hebbian_pair_trajectories": "Rates and weights against time from two starts.",
    "hebbian_pair": "Numbers of fixed points and of stable ones over learning rate and input, with exact folds.",
    "two_learners": "Error and descent, phase plane of the flow, rate of return over both penalties, convergence.",
    "learning_rate_grid": "Fates of a million pairs of learning rates at each of two penalties, with exact boundaries.",
    "learning_rate_convergence": "Measured rates of convergence against the spectral radius of one step.",
    "vector_learners": "Approach to the sphere of minima, its 16 multipliers, the eighth exponent over both rates.",
    "multiplicative_map": "Two quantities that both die out; Euler's spiral beside the closed orbit of the flow.",
    "learner_cycles": "The run at 2.001 on its way to a 2-cycle; orbits over the rate at two penalties.",
    "learner_exponents": "Largest Lyapunov exponent over both rates: agreement, cycles, chaos, divergence.",
    "network_chaos": "Density of all exponents; the largest, dimension and entropy over the gain, beside known values.",
    "lorenz_errors": "Two exponents and the dimension over the Rayleigh number with bands of their standard errors.",
    "coupled_oscillators": "Disorder of rings over the coupling with foretold borders; growth of departures of one.",
    "noise_induced_spiking": "Two starts under the same noise; regularity of spikes and exponent over its strength.",
    "orbit_diagram": "Ten million points and their Lyapunov exponents; the window of period 3, computed anew.",
    "orbit_diagram_delta": "Ratios of the distances of period doublings come to Feigenbaum's constant.",
    "firing_rate_hysteresis": "Firing rate over the current, raised and lowered; the two bistable bands enlarged.",
    "poincare_section": "Sections of Hénon-Heiles at three energies; returns of Rössler; Duffing once a period.",
    "optimizers_as_maps": "Measured rates of convergence over learning rate and momentum, with exact thresholds.",
    "training_orbit_diagram": "Training on a double well beyond its threshold: doublings, and the Lyapunov exponent.",
    "brain_machine_interface": "Rates of convergence with exact boundaries; what flips; random search; effort penalty.",
    "fit_a_neuron": "Trace and fit with the variable that nobody measured; losses of all starts; what was found.",
    "tune_to_the_edge": "Largest exponent over the gain with both edges; its gradient at rest, on a cycle, in chaos.",
    "train_rnn": "Fixed points of a network that remembers three bits; their numbers and the exponents in training.",
    "line_attractor": "Slow points in a row; moduli over it; memory without pulses; drift; exponents during training.",
    "edge_of_stability": "Training loss and sharpness at three rates of each optimizer, with its thresholds (dashed).",
}
"""One sentence for each figure, by the name of its file."""


def run(example: Path) -> None:
    """Run one example in full; its figures, made small, replace the older ones."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "MPLBACKEND": "Agg"}
        command = [sys.executable, str(example), "--out", folder]
        subprocess.run(command, check=True, cwd=DOCS.parent, env=environment)
        figures = sorted(Path(folder).glob("*.png"))
        if not figures:
            raise FileNotFoundError(f"{example.name} has left no figure in its --out folder")
        for old in figures_of(example):
            old.unlink()
        for figure in figures:
            shrink(figure, DOCS / "gallery" / f"{example.name[:2]}_{figure.name}")


def shrink(source: Path, target: Path) -> None:
    """Copy a figure with 256 colors, as wide as fits into `LARGEST` bytes."""
    target.parent.mkdir(exist_ok=True)
    full = Image.open(source).convert("RGB")
    for width in (1000, 850, 700, 550, 400):
        small = full.copy()
        small.thumbnail((width, 2 * width), Image.Resampling.LANCZOS)
        with_few_colors(small).save(target, optimize=True)
        if target.stat().st_size <= LARGEST:
            return
    raise ValueError(f"{source.name} takes {target.stat().st_size} bytes at a width of 400, more than {LARGEST}")


def with_few_colors(image: Image.Image) -> Image.Image:
    """Image of white, black and 254 colors; each counts by the root of its pixels, so that thin lines keep theirs."""
    pixels = np.asarray(image).reshape(-1, 3)
    colors, where, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    weighted = np.repeat(colors, np.ceil(np.sqrt(counts)).astype(int), axis=0)
    chosen = Image.fromarray(weighted[None]).quantize(254).getpalette() or []
    palette = np.array([255, 255, 255, 0, 0, 0, *chosen[: 3 * 254]], np.float32).reshape(-1, 3)
    # Pillow's own search for the nearest color is approximate and misses white by some levels.
    distance = np.sum(palette**2, axis=1) - 2 * colors.astype(np.float32) @ palette.T
    numbers = np.argmin(distance, axis=1).astype(np.uint8)[where.ravel()]
    result = Image.fromarray(numbers.reshape(image.height, image.width))
    result.putpalette(palette.astype(np.uint8).ravel().tolist())
    return result


def figures_of(example: Path) -> list[Path]:
    """Figures of one example in the gallery."""
    return sorted((DOCS / "gallery").glob(f"{example.name[:2]}_*.png"))


def page(examples: list[Path]) -> str:
    """The page, in markdown."""
    lines = [
        "# Gallery",
        "",
        "Every figure of the [examples](../examples), each made by the command above it. "
        "`python docs/make_gallery.py` makes this page.",
    ]
    for example in examples:
        title, *parts = (ast.get_docstring(ast.parse(example.read_text())) or "").split("\n\n")
        words = [plain(part) for part in parts if not part.startswith("    ")]
        lines += ["", f"## {example.name[:2]} {plain(title).rstrip('.')}", ""]
        lines += [line for word in words for line in (word, "")]
        lines += ["```bash", f"python examples/{example.name}", "```"]
        for figure in figures_of(example):
            caption = CAPTIONS.get(figure.stem[3:], figure.stem[3:].replace("_", " ") + ".")
            lines += ["", f"![{caption}](gallery/{figure.name})", "", caption]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", nargs="+", metavar="NUMBER", help="run these examples only, such as 09")
    only = arguments.parse_args().only
    examples = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))
    chosen = [example for example in examples if only is None or example.name[:2] in only]
    if only is not None and len(chosen) < len(set(only)):
        raise SystemExit(f"--only {' '.join(only)}: there are examples 01 to {len(examples):02d}")
    for example in chosen:
        print(f"--- {example.name}", flush=True)
        run(example)
    figures = [figure for example in examples for figure in figures_of(example)]
    for gone in set((DOCS / "gallery").glob("*.png")) - set(figures):
        gone.unlink()
    (DOCS / "gallery.md").write_text(page(examples))
    print(f"{len(figures)} figures, {sum(figure.stat().st_size for figure in figures) / 1e6:.2f} MB")
    if bare := [figure.name for figure in figures if figure.stem[3:] not in CAPTIONS]:
        raise SystemExit(f"no sentence in CAPTIONS for {', '.join(bare)}")


if __name__ == "__main__":
    main()
