#!/usr/bin/env python3
"""Writes what product and peers read: the model as a Hugging Face folder, token ids, and a folder of many tensors.

inputs.py MODEL WORK [--data FOLDER] [--text FILE] [--longest 512] [--sequences 32] [--samples 64] [--items 100]
MODEL is a GGUF file or a Hugging Face folder. FOLDER holds piqa/dev.jsonl; without it the PIQA input is left out.
Everything else comes from FILE, the bundled text unless it is given. No training sample is longer than --longest.
Needs torch, transformers, gguf, safetensors.
"""
import argparse
import json
import os
import pathlib
import random

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("work", type=pathlib.Path)
parser.add_argument("--data", type=pathlib.Path)
parser.add_argument("--text", type=pathlib.Path)
parser.add_argument("--longest", type=int, default=512)
parser.add_argument("--sequences", type=int, default=32, help="of 512 tokens")
parser.add_argument("--samples", type=int, default=64, help="of 30 to 700 tokens")
parser.add_argument("--items", type=int, default=100)
arguments = parser.parse_args()

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

work = arguments.work
work.mkdir(parents=True, exist_ok=True)
folder, name = os.path.split(arguments.model)
where = {"pretrained_model_name_or_path": folder, "gguf_file": name} if name.endswith(".gguf") else {
    "pretrained_model_name_or_path": arguments.model}
tokenizer = AutoTokenizer.from_pretrained(**where)
if not (work / "model").exists():
    read = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    if hasattr(read.config, "quantization_config"):
        del read.config.quantization_config  # the weights are plain now, but it would refuse to save them
    model = type(read)(read.config)
    model.load_state_dict(read.state_dict())
    model.generation_config = read.generation_config
    model.save_pretrained(work / "model")
    tokenizer.save_pretrained(work / "model")

root = pathlib.Path(__file__).resolve().parents[3]
text = (arguments.text or root / "resources/calibration/calibration.txt").read_text()
ids = tokenizer(text, add_special_tokens=False)["input_ids"]
draw = random.Random(0)


def piece(length):
    """A run of the text; it starts anywhere, so that no two sequences are equal."""
    start = draw.randrange(len(ids))
    return [ids[(start + i) % len(ids)] for i in range(length)]


def write(file, value):
    (work / file).write_text(json.dumps(value))


write("sweep_equal.json", {"sequences": [piece(512) for _ in range(arguments.sequences)]})
write("sweep_unequal.json", {"sequences": [piece(draw.randint(30, 700)) for _ in range(arguments.samples)]})
own = random.Random(1)  # the other inputs stay as they were
starts = [own.randrange(len(ids)) for _ in range(8)]
write("lora_equal.json", {"sequences": [[ids[(start + i) % len(ids)] for i in range(arguments.longest // 2)]
                                        for start in starts]})
write("lora_unequal.json", {"sequences": [[ids[(start + i) % len(ids)] for i in range(own.randint(30, arguments.longest))]
                                          for start in starts]})
write("long_choices.json", {"items": [{"context": piece(draw.randint(200, 400)),
                                       "continuations": [piece(draw.randint(8, 40)) for _ in range(4)]}
                                      for _ in range(max(1, arguments.items // 4))]})
if arguments.data:
    items = []
    for line in (arguments.data / "piqa/dev.jsonl").read_text().splitlines()[:arguments.items]:
        row = json.loads(line)
        context = f"Question: {row['goal']}\nAnswer:"
        head = tokenizer(context, add_special_tokens=False)["input_ids"]
        tails = [tokenizer(f"{context} {row[key]}", add_special_tokens=False)["input_ids"][len(head):]
                 for key in ("sol1", "sol2")]
        items.append({"context": head, "continuations": tails})
    write("piqa.json", {"items": items})


def chat(question):
    return tokenizer(f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n",
                     add_special_tokens=False)["input_ids"]


write("prompt.json", {"sequences": [chat("Explain in a few sentences why the sky is blue.")]})
questions = []
for number in range(32):
    quote = tokenizer.decode(piece(draw.randint(5, 120)))
    ask = ("Summarise in one sentence", "Name the topic in three words", "Explain in detail", "Translate to French")
    questions.append(chat(f"{ask[number % 4]}: {quote}"))
write("prompts.json", {"sequences": questions})

# 1111 blocks of nine tensors in 20 shards
many = work / "many"
if not many.exists():
    many.mkdir()
    blocks, hidden = 1111, 8
    names = {"self_attn.q_proj": 2, "self_attn.k_proj": 2, "self_attn.v_proj": 2, "self_attn.o_proj": 2,
             "mlp.gate_proj": 2, "mlp.up_proj": 2, "mlp.down_proj": 2, "input_layernorm": 1,
             "post_attention_layernorm": 1}
    tensors = {f"model.layers.{block}.{key}.weight": torch.ones([hidden] * rank)
               for block in range(blocks) for key, rank in names.items()}
    tensors |= {"model.embed_tokens.weight": torch.ones(16, hidden), "model.norm.weight": torch.ones(hidden)}
    shards = [f"model-{i + 1:05}-of-00020.safetensors" for i in range(20)]
    index = {key: shards[i * 20 // len(tensors)] for i, key in enumerate(tensors)}
    for shard in shards:
        save_file({key: tensors[key] for key in index if index[key] == shard}, many / shard)
    (many / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (many / "config.json").write_text(json.dumps({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": hidden, "head_dim": hidden,
        "intermediate_size": hidden, "num_attention_heads": 1, "num_key_value_heads": 1, "num_hidden_layers": blocks,
        "vocab_size": 16, "tie_word_embeddings": True, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "hidden_act": "silu", "torch_dtype": "float32"}))
