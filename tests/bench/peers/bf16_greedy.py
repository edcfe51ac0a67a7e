#!/usr/bin/env python3
"""Do greedy answers in bf16 agree with transformers in bf16, and where they part, was it a close call?

bf16_greedy.py MODEL PROMPTS [--tokens 32] [--agree 16] [--bench build/bin/secateur_bench] [--kernels libtorch]
PROMPTS: {"sequences": [[id, …], …]} or {"prompts": [{"input_ids": […]}, …]}. Where the answers part, prints the two
tokens and how far apart transformers' own logits are for them, in bf16 and in f32. For both answers it also counts the
tokens that transformers' bf16 model prefers when it sees the whole answer in one pass: where its own cached decoding
does not reach all, rounding alone decides. Fails when more than one prompt in six parts before --agree tokens.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("prompts", type=pathlib.Path)
parser.add_argument("--tokens", type=int, default=32)
parser.add_argument("--agree", type=int, default=16)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--kernels", default="own")
parser.add_argument("--bench", default=str(here.parents[2] / "build/bin/secateur_bench"))
arguments = parser.parse_args()

import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

torch.set_num_threads(arguments.threads)
document = json.loads(arguments.prompts.read_text())
prompts = document.get("sequences") or [prompt["input_ids"] for prompt in document["prompts"]]
models = {name: AutoModelForCausalLM.from_pretrained(arguments.model, dtype=dtype).eval()
          for name, dtype in (("bf16", torch.bfloat16), ("f32", torch.float32))}

early = 0
with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
    for number, prompt in enumerate(prompts):
        file = pathlib.Path(folder, "prompt.json")
        file.write_text(json.dumps({"sequences": [prompt]}))
        answer = json.loads(subprocess.run(
            [arguments.bench, "decode", arguments.model, str(file), "--dtype", "bf16", "--runs", "1", "--tokens",
             str(arguments.tokens), "--threads", str(arguments.threads), "--kernels", arguments.kernels], check=True, stdout=subprocess.PIPE).stdout)
        ours = answer["fingerprint"]["ids"][0]
        ids = torch.tensor([prompt])
        theirs = models["bf16"].generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                                         max_new_tokens=arguments.tokens, eos_token_id=-1)[0, len(prompt):].tolist()
        same = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), len(theirs))
        line = {"prompt": number, "equal_tokens": same, "of": len(theirs)}
        for name, tokens in (("ours", ours), ("theirs", theirs)):
            logits = models["bf16"](torch.tensor([prompt + tokens[:-1]])).logits[0, len(prompt) - 1:]
            line[f"one_pass_{name}"] = sum(a == b for a, b in zip(logits.argmax(-1).tolist(), tokens))
        if same < len(theirs):
            whole = torch.tensor([prompt + theirs[:same]])
            for name, model in models.items():
                logits = model(whole).logits[0, -1].float()
                line[f"margin_{name}"] = round(float(logits[theirs[same]] - logits[ours[same]]), 4)
        early += same < min(arguments.agree, len(theirs))
        print(json.dumps(line), flush=True)
print(json.dumps({"prompts": len(prompts), "parted_early": early}))
sys.exit(early * 6 > len(prompts))
