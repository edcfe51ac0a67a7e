#!/usr/bin/env python3
"""Writes tests/data/peft_run.json: sixty steps of PEFT on the bundled mini-think, three of whose ten blocks are gone,
for tst_peft_run to follow.

peft_run.py    needs torch, transformers, peft; a few seconds. No random number is drawn: A begins as a fixed wave, B
at zero, and every step takes the same eight conversations, of which the answers count.
"""
import json
import math
import pathlib

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

root = pathlib.Path(__file__).resolve().parents[2]
torch.set_num_threads(1)
folder = root / "resources/models/mini-think"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
removed = [4, 5, 6]
model.model.layers = torch.nn.ModuleList(block for i, block in enumerate(model.model.layers) if i not in removed)
model.config.num_hidden_layers = len(model.model.layers)
for index, block in enumerate(model.model.layers):
    block.self_attn.layer_idx = index

options = {"rank": 4, "alpha": 8, "targets": ["q_proj", "v_proj", "down_proj"], "steps": 60, "learning_rate": 5e-3,
           "warmup_fraction": 0.1, "weight_decay": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8,
           "clip_norm": 0.1, "schedule": "cosine"}

samples = []
rows = map(json.loads, (root / "resources/calibration/mini-think.jsonl").read_text().splitlines())
for messages in [row["messages"] for row in rows if "messages" in row][:8]:
    prompt = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    answer = messages[1]["content"] + "<|im_end|>"
    head = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    samples.append({"ids": head + tokenizer(answer, add_special_tokens=False)["input_ids"], "from": len(head)})

peft = get_peft_model(model, LoraConfig(r=options["rank"], lora_alpha=options["alpha"], lora_dropout=0.0,
                                        target_modules=options["targets"]))
trained = {name.removeprefix("base_model.model.").removesuffix(".default.weight"): parameter
           for name, parameter in peft.named_parameters() if parameter.requires_grad}
with torch.no_grad():
    for name, parameter in trained.items():
        if name.endswith("lora_A"):
            rows, columns = parameter.shape
            parameter.copy_(torch.tensor([[math.cos(0.37 * (i + 1) * (j + 1)) / math.sqrt(columns)
                                           for j in range(columns)] for i in range(rows)]))

longest = max(len(sample["ids"]) for sample in samples)
ids = torch.zeros(len(samples), longest, dtype=torch.long)
mask = torch.zeros_like(ids)
labels = torch.full_like(ids, -100)
for row, sample in enumerate(samples):
    length = len(sample["ids"])
    ids[row, :length] = torch.tensor(sample["ids"])
    mask[row, :length] = 1
    labels[row, sample["from"]:length] = ids[row, sample["from"]:length]

optimizer = torch.optim.AdamW(trained.values(), lr=0.0, betas=(options["beta1"], options["beta2"]),
                              eps=options["epsilon"], weight_decay=options["weight_decay"])
warmup = math.ceil(options["warmup_fraction"] * options["steps"])
losses, norms = [], []
peft.train()
for step in range(options["steps"]):
    share = ((step + 1) / warmup if step < warmup else
             (1 + math.cos(math.pi * (step - warmup) / (options["steps"] - warmup))) / 2)
    optimizer.param_groups[0]["lr"] = options["learning_rate"] * share
    loss = peft(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
    loss.backward()
    norms.append(float(torch.nn.utils.clip_grad_norm_(trained.values(), options["clip_norm"])))
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    losses.append(float(loss.detach()))

record = {"removed": removed, "options": options, "samples": samples, "loss": losses, "gradient_norm": norms,
          "final_norm": {name: float(parameter.detach().norm()) for name, parameter in trained.items()}}
lines = ",\n".join(f'"{key}": {json.dumps(value)}' for key, value in record.items())
(root / "tests/data/peft_run.json").write_text("{" + lines + "}\n")
print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}, {int(mask.sum())} tokens a step")
