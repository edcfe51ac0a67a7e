#!/usr/bin/env python3
"""The peer's side of secateur_bench with transformers: the same sub-commands, inputs and JSON.

transformers_peer.py sweep|loglik|decode|batch|lora|open MODEL [INPUT] [--dtype f32|bf16] [--threads 2] [--runs 3]
Set up (never part of the test suite): python3 -m venv peer && peer/bin/pip install torch transformers safetensors gguf peft
"""
import argparse
import json
import pathlib
import time

import rates

parser = argparse.ArgumentParser()
parser.add_argument("work", choices=["sweep", "loglik", "decode", "batch", "lora", "open"])
parser.add_argument("model")
parser.add_argument("input", nargs="?")
parser.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--tokens", type=int, default=64)
parser.add_argument("--steps", type=int, default=4, help="of training")
parser.add_argument("--batch", type=int, default=0, help="0: 8 for sweeps, 16 for scores, all prompts for generation")
arguments = parser.parse_args()


def measure(unit, once):
    print(json.dumps(rates.measure(arguments, arguments.work, "transformers", unit, once)))


if arguments.work == "open":
    from safetensors import safe_open

    def open_all():
        begin = time.perf_counter()
        tensors = 0
        for file in sorted(pathlib.Path(arguments.model).glob("*.safetensors")):
            with safe_open(file, "pt") as handle:
                for key in handle.keys():
                    handle.get_slice(key).get_shape()
                    tensors += 1
        return 1, time.perf_counter() - begin, {"tensors": tensors}
    measure("folders/s", open_all)
    raise SystemExit

import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

torch.set_num_threads(arguments.threads)
dtype = torch.bfloat16 if arguments.dtype == "bf16" else torch.float32
model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=dtype).eval()
document = json.loads(pathlib.Path(arguments.input).read_text())
layers = model.config.num_hidden_layers


def padded(rows, left=False):
    longest = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for at, row in enumerate(rows):
        where = slice(longest - len(row), longest) if left else slice(0, len(row))
        ids[at, where] = torch.tensor(row)
        mask[at, where] = 1
    return ids, mask


def sweep():
    """Right-padded batches; cosines of all pairs of states, squares of the inputs of o and down by hooks."""
    squares = {}
    weights = []

    def keep(name):
        def hook(_module, inputs):
            x = inputs[0].float() * mask.unsqueeze(-1)
            squares[name] = squares.get(name, 0) + x.pow(2).sum((0, 1))
        return hook
    handles = []
    for layer, block in enumerate(model.model.layers):
        handles.append(block.mlp.down_proj.register_forward_pre_hook(keep(("down", layer))))
        handles.append(block.self_attn.o_proj.register_forward_pre_hook(keep(("o", layer))))
        weights.append(block.mlp.down_proj.weight.float().abs().mean(0))
    begin = time.perf_counter()
    gram = torch.zeros(layers + 1, layers + 1, dtype=torch.double)
    tokens = 0
    batch = arguments.batch or 8
    last = {}
    final = model.model.norm.register_forward_pre_hook(lambda _module, inputs: last.update(state=inputs[0]))
    for at in range(0, len(document["sequences"]), batch):
        rows = document["sequences"][at:at + batch]
        ids, mask = padded(rows)
        hidden = model.model(ids, attention_mask=mask, output_hidden_states=True, use_cache=False).hidden_states
        states = [*hidden[:-1], last["state"]]  # the last one before the final norm
        unit = torch.stack([torch.nn.functional.normalize(state.float(), dim=-1) * mask.unsqueeze(-1)
                            for state in states]).flatten(1)
        gram += unit @ unit.T
        tokens += int(mask.sum())
    seconds = time.perf_counter() - begin
    for handle in [*handles, final]:
        handle.remove()
    influence = [1 - float(gram[i, i + 1]) / tokens for i in range(layers)]
    channels = [float((weights[i] * squares["down", i].sqrt()).sum()) for i in range(layers)]
    return tokens, seconds, {"influence": influence, "channels": channels}


def loglik():
    """As lm-evaluation-harness does it: every choice with its context, longest first, padded batches, all logits."""
    requests = [(number, choice, item["context"] + tail, len(tail))
                for number, item in enumerate(document["items"]) for choice, tail in enumerate(item["continuations"])]
    requests.sort(key=lambda request: -len(request[2]))
    logprobs = [[0.0] * len(item["continuations"]) for item in document["items"]]
    begin = time.perf_counter()
    batch = arguments.batch or 16
    for at in range(0, len(requests), batch):
        part = requests[at:at + batch]
        ids, mask = padded([row[:-1] for _, _, row, _ in part])
        scores = torch.log_softmax(model(ids, attention_mask=mask, use_cache=False).logits.float(), dim=-1)
        for row, (number, choice, whole, length) in enumerate(part):
            tail = scores[row, len(whole) - 1 - length:len(whole) - 1]
            targets = torch.tensor(whole[-length:]).unsqueeze(1)
            logprobs[number][choice] = float(tail.gather(1, targets).sum())
    return len(logprobs), time.perf_counter() - begin, {"logprobs": logprobs}


def generated(rows, **options):
    ids, mask = padded(rows, left=True)
    begin = time.perf_counter()
    out = model.generate(ids, attention_mask=mask, do_sample=False, **options)
    seconds = time.perf_counter() - begin
    return out[:, ids.shape[1]:].tolist(), seconds


def decode():
    rows = document["sequences"][:1]
    _, first = generated(rows, max_new_tokens=1)
    out, seconds = generated(rows, max_new_tokens=arguments.tokens, min_new_tokens=arguments.tokens,
                             suppress_tokens=None)
    # the first token comes from the prompt's own pass
    return arguments.tokens - 1, seconds - first, {"ids": out}


def batch():
    rows = document["sequences"]
    stops = model.generation_config.eos_token_id
    stops = stops if isinstance(stops, list) else [stops]
    size = arguments.batch or len(rows)
    tokens, seconds, answers = 0, 0.0, []
    for at in range(0, len(rows), size):
        out, took = generated(rows[at:at + size], max_new_tokens=arguments.tokens, pad_token_id=stops[0])
        seconds += took
        for row in out:
            stop = next((i for i, token in enumerate(row) if token in stops), None)
            answers.append(row if stop is None else row[:stop])
            tokens += len(row) if stop is None else stop + 1
    return tokens, seconds, {"ids": answers}


def lora():
    """PEFT, r 8 on all linears; all sequences as one padded batch in every step (Trainer's own work is not counted)."""
    from peft import LoraConfig, get_peft_model
    torch.manual_seed(0)
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    trained = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=names))
    trained.train()
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=2e-4, weight_decay=0.0)
    ids, mask = padded(document["sequences"])
    labels = ids.masked_fill(mask == 0, -100)
    losses = []
    begin = time.perf_counter()
    for _ in range(arguments.steps):
        loss = trained(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
    seconds = time.perf_counter() - begin
    trained.unload()
    return int(mask.sum()) * arguments.steps, seconds, {"losses": losses}


units = {"sweep": "tokens/s", "loglik": "items/s", "decode": "tokens/s", "batch": "tokens/s", "lora": "tokens/s"}
works = {"sweep": sweep, "loglik": loglik, "decode": decode, "batch": batch, "lora": lora}
with torch.set_grad_enabled(arguments.work == "lora"):
    measure(units[arguments.work], works[arguments.work])
