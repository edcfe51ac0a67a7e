#!/usr/bin/env bash
# Product and peer side by side: calibration sweep and greedy decode of SmolLM2-135M-Instruct. See README.md.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here="$root/tests/bench"
cli="${SECATEUR_CLI:-$root/build/bin/secateur-cli}"
python="${PEER_PYTHON:-python3}"
threads="${THREADS:-2}"
runs="${RUNS:-3}"
work="${WORK:-$(mktemp -d)}"
export OMP_NUM_THREADS=$threads OMP_WAIT_POLICY=passive

model="${MODEL:-${XDG_CACHE_HOME:-$HOME/.cache}/secateur/smollm2-0.1.2/SmolLM2-135M-Instruct.Q4_1.gguf}"

# 16 x 256 tokens of the bundled calibration text, and the first of them as a prompt.
[ -f "$work/ids.json" ] || "$cli" tokenize "$model" --file <("$python" -c "
import json; text = open('$root/resources/calibration/calibration.txt').read(); print(json.dumps([text]))") --json |
    "$python" -c "
import json, sys
ids = json.load(sys.stdin)['results'][0]['ids']
json.dump({'sequences': [ids[i * 256:(i + 1) * 256] for i in range(16)]}, open('$work/ids.json', 'w'))
json.dump({'sequences': [ids[:16]]}, open('$work/prompt.json', 'w'))"

for run in $(seq "$runs"); do
    "$cli" analyze "$model" --calibration "ids:$work/ids.json" --samples 16 --length 256 \
        --maps block_cosine,block_influence,ffn_importance --out "$work/maps.h5" --dtype f32 --threads "$threads" --json >"$work/sweep-product-$run.json"
    "$python" "$here/peers/transformers_peer.py" "$model" "$work/ids.json" --threads "$threads" >"$work/sweep-peer-$run.json"
    "$cli" generate "$model" --ids "$work/prompt.json" --max-new-tokens 64 --ignore-eos --dtype f32 --threads "$threads" --json >"$work/decode-product-$run.json"
    "$python" "$here/peers/transformers_peer.py" "$model" "$work/prompt.json" --decode 64 --threads "$threads" >"$work/decode-peer-$run.json"
done

"$python" - "$work" "$runs" <<'PY'
import json, statistics, sys
work, runs = sys.argv[1], int(sys.argv[2])
def load(name):
    return [json.load(open(f"{work}/{name}-{run}.json")) for run in range(1, runs + 1)]
sweep = [r.get("tokens_per_s") or r["tokens"] / r["seconds"] for r in load("sweep-product")]
decode = load("decode-product")
peer = load("decode-peer")
if decode[0]["results"][0]["ids"] != peer[0]["ids"]:
    sys.exit("the greedy tokens differ: the work is not the same")
for work_name, product, other in (
        ("calibration sweep, tokens/s", sweep, [r["value"] for r in load("sweep-peer")]),
        ("greedy decode, batch 1, tokens/s", [r["decode_tokens_per_s"] for r in decode], [r["value"] for r in peer])):
    a, b = statistics.median(product), statistics.median(other)
    print(f"{work_name}: product {a:.1f} (min {min(product):.1f}, max {max(product):.1f}), "
          f"transformers {b:.1f} (min {min(other):.1f}, max {max(other):.1f}), ratio {a / b:.2f}")
PY
