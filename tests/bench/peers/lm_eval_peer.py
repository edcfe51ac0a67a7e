#!/usr/bin/env python3
"""The peer's side of `secateur_bench loglik` with lm-evaluation-harness itself (its HF backend): the same token ids.

lm_eval_peer.py MODEL INPUT [--dtype f32|bf16] [--threads 2] [--runs 1] [--batches 1,4,16]
Every batch size is tried and the fastest counts. Set up: peer/bin/pip install lm-eval
"""
import argparse
import json
import pathlib
import resource
import statistics
import time

import torch
from lm_eval.models.huggingface import HFLM

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("input", type=pathlib.Path)
parser.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=1)
parser.add_argument("--tokens", type=int, default=0, help="not used here")
parser.add_argument("--batches", default="1,4,16")
arguments = parser.parse_args()

torch.set_num_threads(arguments.threads)
items = json.loads(arguments.input.read_text())["items"]
# the texts only name the requests
requests = [((f"{number}", f"{choice}"), item["context"], tail)
            for number, item in enumerate(items) for choice, tail in enumerate(item["continuations"])]
results = {}
for batch in map(int, arguments.batches.split(",")):
    model = HFLM(pretrained=arguments.model, device="cpu", batch_size=batch,
                 dtype="bfloat16" if arguments.dtype == "bf16" else "float32")
    rates, processor_rates, answers = [], [], []
    for _ in range(arguments.runs):
        used = resource.getrusage(resource.RUSAGE_SELF)
        begin = time.perf_counter()
        answers = model._loglikelihood_tokens(requests, disable_tqdm=True)
        rates.append(len(items) / (time.perf_counter() - begin))
        now = resource.getrusage(resource.RUSAGE_SELF)
        processor_rates.append(len(items) / (now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime))
    logprobs = [[0.0] * len(item["continuations"]) for item in items]
    for ((number, choice), _, _), (logprob, _) in zip(requests, answers):
        logprobs[int(number)][int(choice)] = float(logprob)
    results[statistics.median(rates)] = (batch, rates, processor_rates, logprobs)
median = max(results)
batch, rates, processor_rates, logprobs = results[median]
print(json.dumps({"work": "loglik", "program": "lm-evaluation-harness", "unit": "items/s", "batch": batch,
                  "threads": arguments.threads, "dtype": arguments.dtype, "median": median, "min": min(rates),
                  "max": max(rates), "n": len(rates), "per_processor_second": statistics.median(processor_rates),
                  "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "fingerprint": {"logprobs": logprobs}}))
