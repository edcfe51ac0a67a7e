#!/usr/bin/env python3
"""Runs the peer's side of tests/bench: transformers on the same token ids.

Set up (never part of the test suite):
    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install torch transformers safetensors
Use: transformers_peer.py MODEL ids.json --threads 2 [--decode 64] [--batch 8]
MODEL is a Hugging Face folder or a GGUF file (then `pip install gguf` too). Prints one JSON document.
"""
import argparse
import json
import os
import resource
import time

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("ids", help='{"sequences": [[...], ...]}')
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--decode", type=int, default=0, help="greedy tokens after the first sequence instead of a sweep")
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--dtype", default="float32")
arguments = parser.parse_args()

import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

torch.set_num_threads(arguments.threads)
folder, name = os.path.split(arguments.model)
where = {"pretrained_model_name_or_path": folder, "gguf_file": name} if name.endswith(".gguf") else {
    "pretrained_model_name_or_path": arguments.model}
model = AutoModelForCausalLM.from_pretrained(**where, dtype=getattr(torch, arguments.dtype)).eval()
sequences = json.load(open(arguments.ids))
sequences = sequences["sequences"] if isinstance(sequences, dict) else sequences
result = {"peer": "transformers", "threads": arguments.threads, "dtype": arguments.dtype}

with torch.no_grad():
    if arguments.decode:
        prompt = torch.tensor([sequences[0]])
        model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=4, do_sample=False)
        begin = time.perf_counter()
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=arguments.decode,
                             min_new_tokens=arguments.decode, do_sample=False)
        seconds = time.perf_counter() - begin
        result |= {"work": "greedy decode, batch 1", "unit": "tokens/s", "value": arguments.decode / seconds,
                   "ids": out[0, prompt.shape[1]:].tolist()}
    else:
        # Right-padded batches; hidden states of every block come back, statistics as a user would collect them.
        layers = model.config.num_hidden_layers
        cosine = torch.zeros(layers)
        counted = 0
        norms = [None] * layers

        def keep(layer):
            def hook(_module, inputs):
                squared = inputs[0].float().pow(2).sum((0, 1))
                norms[layer] = squared if norms[layer] is None else norms[layer] + squared
            return hook
        for layer, block in enumerate(model.model.layers):
            block.mlp.down_proj.register_forward_pre_hook(keep(layer))
        begin = time.perf_counter()
        for at in range(0, len(sequences), arguments.batch):
            rows = sequences[at:at + arguments.batch]
            longest = max(len(row) for row in rows)
            ids = torch.zeros(len(rows), longest, dtype=torch.long)
            mask = torch.zeros(len(rows), longest, dtype=torch.long)
            for row, tokens in enumerate(rows):
                ids[row, :len(tokens)] = torch.tensor(tokens)
                mask[row, :len(tokens)] = 1
            hidden = model.model(ids, attention_mask=mask, output_hidden_states=True, use_cache=False).hidden_states
            for layer in range(layers):
                same = torch.nn.functional.cosine_similarity(hidden[layer], hidden[layer + 1], dim=-1)
                cosine[layer] += (same * mask).sum()
            counted += int(mask.sum())
        seconds = time.perf_counter() - begin
        result |= {"work": "calibration sweep", "unit": "tokens/s", "value": counted / seconds, "tokens": counted,
                   "influence": (1 - cosine / counted).tolist()}
result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(result))
