#!/usr/bin/env python3
"""Product and peer in turn on the same inputs; see README.md. Prints one line per kind of work and dtype.

compare.py WORK [--only decode,batch] [--dtypes f32,bf16] [--threads 2] [--rounds 3] [--gguf MODEL.gguf]
With --gguf decoding is compared with llama.cpp (decode_llama), too. piqa_lm_eval and long_choices_lm_eval have
lm-evaluation-harness as the peer.
WORK was filled by peers/inputs.py. Run it with the peer's Python.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
parser = argparse.ArgumentParser()
parser.add_argument("work", type=pathlib.Path)
parser.add_argument("--only", default="sweep_equal,sweep_unequal,piqa,long_choices,decode,batch,lora_equal,lora_unequal,open")
parser.add_argument("--dtypes", default="f32,bf16")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--tokens", type=int, default=64)
parser.add_argument("--gguf")
parser.add_argument("--bench", default=str(here.parents[1] / "build/bin/secateur_bench"))
arguments = parser.parse_args()
environment = dict(os.environ, OMP_NUM_THREADS=str(arguments.threads), OMP_WAIT_POLICY="passive")

JOBS = {"sweep_equal": ("sweep", "sweep_equal.json"), "sweep_unequal": ("sweep", "sweep_unequal.json"),
        "piqa": ("loglik", "piqa.json"), "long_choices": ("loglik", "long_choices.json"),
        "decode": ("decode", "prompt.json"), "batch": ("batch", "prompts.json"),
        "lora_equal": ("lora", "lora_equal.json"), "lora_unequal": ("lora", "lora_unequal.json"), "open": ("open", None),
        "decode_llama": ("decode", "prompt.json"),
        "piqa_lm_eval": ("loglik", "piqa.json"), "long_choices_lm_eval": ("loglik", "long_choices.json")}


def run(command):
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.splitlines()[-1])


def common_prefix(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def sameness(work, product, peer, bf16):
    """Why the results are the same work, or SystemExit."""
    if work == "open":
        ok, text = product["tensors"] == peer["tensors"], f"{product['tensors']} tensors"
    elif work == "sweep":
        away = max(abs(a - b) for a, b in zip(product["influence"], peer["influence"]))
        channels = max(abs(a - b) / b for a, b in zip(product["channels"], peer["channels"]))
        ok = away < (2e-2 if bf16 else 1e-4) and channels < (5e-2 if bf16 else 1e-4)
        text = f"influence differs by {away:.1e}, channel norms by {channels:.1e}"
    elif work == "lora":  # the branches begin with other numbers, but at zero effect: the first loss is the same
        pairs = list(zip(product["losses"], peer["losses"]))
        away = max(abs(a - b) / b for a, b in pairs)
        ok = abs(pairs[0][0] - pairs[0][1]) < (2e-2 if bf16 else 1e-4) * pairs[0][1] and away < 2e-2
        text = f"first loss {pairs[0][0]:.4f} and {pairs[0][1]:.4f}, losses part by {100 * away:.2f} % at most"
    elif work == "loglik":
        pairs = list(zip(product["logprobs"], peer["logprobs"]))
        away = max(abs(a - b) for left, right in pairs for a, b in zip(left, right))
        other = sum(left.index(max(left)) != right.index(max(right)) for left, right in pairs)
        ok = away < (5 if bf16 else 1e-2) and other <= (len(pairs) // 20 if bf16 else 0)
        text = f"log-likelihoods differ by {away:.1e}, {other} of {len(pairs)} choices differ"
    else:
        equal = sum(a == b for a, b in zip(product["ids"], peer["ids"]))
        prefix = statistics.mean(common_prefix(a, b) for a, b in zip(product["ids"], peer["ids"]))
        ok = bf16 or equal >= 0.9 * len(peer["ids"])
        text = f"{equal} of {len(peer['ids'])} sequences equal, {prefix:.0f} tokens agree on average"
    if not ok:
        sys.exit(f"{work}: not the same work: {text}")
    return text


for job in arguments.only.split(",") + (["decode_llama"] if arguments.gguf else []):
    work, file = JOBS[job]
    model = arguments.work / ("many" if work == "open" else "model")
    inputs = [str(arguments.work / file)] if file else []
    for dtype in ["f32"] if work == "open" else arguments.dtypes.split(","):
        options = ["--dtype", dtype, "--threads", str(arguments.threads), "--tokens", str(arguments.tokens),
                   "--runs", "3" if work in ("decode", "open") else "1"]
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            ours.append(run([arguments.bench, work, str(model), *inputs, *options]))
            peer = [str(here / "peers/transformers_peer.py"), work, str(model)]
            if job == "decode_llama":
                peer = [str(here / "peers/llama_peer.py"), arguments.gguf]
            elif job.endswith("_lm_eval"):
                peer = [str(here / "peers/lm_eval_peer.py"), str(model)]
            theirs.append(run([sys.executable, *peer, *inputs, *options]))
        text = sameness(work, ours[0]["fingerprint"], theirs[0]["fingerprint"], dtype == "bf16")

        def of(results, key, pick=statistics.median):
            return pick(result[key] for result in results)
        line = {"work": job, "dtype": dtype, "threads": arguments.threads, "unit": ours[0]["unit"],
                "product": round(of(ours, "median"), 2), "product_best": round(of(ours, "max", max), 2),
                "peer": round(of(theirs, "median"), 2), "peer_best": round(of(theirs, "max", max), 2),
                "ratio": round(of(ours, "median") / of(theirs, "median"), 2),
                "ratio_best": round(of(ours, "max", max) / of(theirs, "max", max), 2),
                "ratio_per_processor_second": round(of(ours, "per_processor_second") /
                                                    of(theirs, "per_processor_second"), 2),
                "same": text}
        if "limit" in ours[0]:
            line["limit_share"] = max((result["limit"].get("share", 0) for result in ours), default=0)
        if "peak_mib" in ours[0] and "peak_mib" in theirs[0]:
            line["memory_ratio"] = round(of(ours, "peak_mib", max) / of(theirs, "peak_mib", max), 2)
        print(json.dumps(line), flush=True)
