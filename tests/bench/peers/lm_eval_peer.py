#!/usr/bin/env python3
"""The peer's side of `secateur_bench loglik` with lm-evaluation-harness itself (its HF backend): the same token ids.

lm_eval_peer.py MODEL INPUT [--dtype f32|bf16] [--threads 2] [--runs 1] [--batches 1,4,16]
Every batch size is tried and the fastest counts. Set up: peer/bin/pip install lm-eval
"""
import argparse
import json
import pathlib
import time

import rates
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
fastest = None
for batch in map(int, arguments.batches.split(",")):
    model = HFLM(pretrained=arguments.model, device="cpu", batch_size=batch,
                 dtype="bfloat16" if arguments.dtype == "bf16" else "float32")

    def once():
        begin = time.perf_counter()
        answers = model._loglikelihood_tokens(requests, disable_tqdm=True)
        seconds = time.perf_counter() - begin
        logprobs = [[0.0] * len(item["continuations"]) for item in items]
        for ((number, choice), _, _), (logprob, _) in zip(requests, answers):
            logprobs[int(number)][int(choice)] = float(logprob)
        return len(items), seconds, {"logprobs": logprobs}

    measured = {"batch": batch, **rates.measure(arguments, "loglik", "lm-evaluation-harness", "items/s", once)}
    if not fastest or measured["median"] > fastest["median"]:
        fastest = measured
print(json.dumps(fastest))
