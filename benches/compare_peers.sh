#!/usr/bin/env bash
# Times ours and the Python peers in turn on this machine and prints a Markdown table with the ratios.
#
#   benches/compare_peers.sh                             every row, 7 rounds
#   ONLY="loss conv4.train" ROUNDS=9 benches/compare_peers.sh
#
# ONLY         rows, by name or by the first part of it (benches/peers/table.py rows)
# ROUNDS       rounds, each with both sides (7)
# THREADS      CPU threads of both sides (all)
# PEERS_VENV   virtual environment of the peers, made where there is none (target/peers)
#
# The lines of JSON stay in target/compare_peers.jsonl. Use a machine that does nothing else.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ROUNDS=${ROUNDS:-7}
THREADS=${THREADS:-$(getconf _NPROCESSORS_ONLN)}
for name in ROUNDS THREADS; do
  if ! [[ ${!name} =~ ^[1-9][0-9]*$ ]]; then
    echo "error: $name must be a whole number of at least 1, got \`${!name}\`" >&2
    exit 2
  fi
done
# shellcheck disable=SC2086 # ONLY is a list
rows=" $(python3 benches/peers/table.py rows ${ONLY:-}) "

target=$(cargo metadata --format-version 1 --no-deps |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
venv=${PEERS_VENV:-$target/peers}
lines=$target/compare_peers.jsonl

# What is built now, not what stands here when the last round has ended.
commit=$(git describe --always --dirty 2>/dev/null || true)
# All of the workspace: for one package alone, cargo would build the dependencies with other features once more.
cargo build --workspace --bins
[[ -x $venv/bin/python ]] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r benches/peers/requirements.txt

# Whether one of these rows was picked.
wants() {
  local row
  for row; do
    if [[ $rows == *" $row "* ]]; then return 0; fi
  done
  return 1
}

ours() {
  RAYON_NUM_THREADS=$THREADS "$target/debug/$1" "${@:2}" >>"$lines"
}

peer() {
  "$venv/bin/python" "benches/peers/$1.py" "${@:2}" --threads "$THREADS" >>"$lines"
}

# encoder NAME BATCH WARMUP STEPS
encoder() {
  local work=(train_step --encoder "$1" --batch "$2" --warmup "$3" --steps "$4")
  if wants "$1.train" "$1.train_ndarray"; then ours "${work[@]}" --backend flex; fi
  if wants "$1.train_ndarray"; then ours "${work[@]}" --backend ndarray; fi
  if wants "$1.train"; then
    peer "${work[@]}"
    peer "${work[@]}" --layout channels_last
  fi
  if wants "$1.inference"; then
    ours "${work[@]}" --backend flex --inference
    peer "${work[@]}" --inference
    peer "${work[@]}" --inference --layout channels_last
  fi
}

simclr() {
  if ! wants simclr.epoch; then return 0; fi
  ours simclr_epoch --rounds 1
  peer simclr_epoch --rounds 1 --workers 2
  peer simclr_epoch --rounds 1 --workers 0
}

retrieval() {
  local work
  for work in search.60000 scores.10000; do
    if wants "$work"; then
      ours retrieval --rounds 1 --only "${work%.*}"
      peer retrieval --rounds 1 --only "${work%.*}"
    fi
  done
}

# several PROGRAM ROUNDS PREFIX: the rows of a program that takes their names, in one call.
several() {
  local row only=""
  for row in $rows; do
    if [[ $row == "$3".* ]]; then only+=${only:+,}$row; fi
  done
  if [[ -z $only ]]; then return 0; fi
  ours "$1" --rounds "$2" --only "$only"
  peer "$1" --rounds "$2" --only "$only"
}

: >"$lines"
for ((round = 1; round <= ROUNDS; round++)); do
  echo "round $round of $ROUNDS" >&2
  encoder conv4 128 3 10
  encoder resnet18 64 1 3
  simclr
  retrieval
  several losses 20 loss
  several mahalanobis 1 mahalanobis
done
if wants search.1000000; then
  echo "1,000,000 references" >&2
  ours retrieval --references 1000000 --only search --warmup 0 --rounds 1
fi

# shellcheck disable=SC2086 # rows are words
"$venv/bin/python" benches/peers/table.py show ${commit:+--commit "$commit"} "$lines" $rows
