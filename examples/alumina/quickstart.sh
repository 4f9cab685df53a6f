#!/bin/sh
# Potential energy of alumina in small: learn from energies and forces of molecular-dynamics snapshots, judge on unseen ones.
set -eu
cd "$(dirname "$0")/../.."
out=quickstart
rm -rf "$out" && mkdir "$out"
crystal build-graphs examples/alumina/snapshots/*.h5 --targets energy,forces,pressure --featurizer radius --cutoff 5 \
  -o "$out/graphs.h5"
crystal train "$out/graphs.h5" --arch pair-moments --epochs 10 -o "$out/run"
crystal predict "$out/run" examples/alumina/unseen/*.h5 -o "$out/predictions.csv"
python examples/alumina/judge.py "$out"
