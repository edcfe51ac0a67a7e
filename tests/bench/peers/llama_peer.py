#!/usr/bin/env python3
"""The peer's side of `secateur_bench decode` with llama.cpp: the same prompt, JSON and precision.

llama_peer.py MODEL.gguf INPUT [--dtype f32|bf16] [--threads 2] [--runs 3] [--tokens 64]
The tensors of MODEL.gguf are written once as plain f32 or bf16 beside INPUT, as llama.cpp would compute with the
quantised ones otherwise. Set up: peer/bin/pip install llama-cpp-python gguf
"""
import argparse
import json
import pathlib
import time

import gguf
import llama_cpp
import numpy
import rates

parser = argparse.ArgumentParser()
parser.add_argument("model", type=pathlib.Path)
parser.add_argument("input", type=pathlib.Path)
parser.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--tokens", type=int, default=64)
arguments = parser.parse_args()


def plain_copy(target):
    """All metadata as they are, matrices in the wanted type, vectors in f32."""
    reader = gguf.GGUFReader(arguments.model)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    kind = gguf.GGMLQuantizationType.BF16 if arguments.dtype == "bf16" else gguf.GGMLQuantizationType.F32
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        kinds = field.types
        writer.add_key_value(name, field.contents(), kinds[0], kinds[-1] if len(kinds) > 1 else None)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        store = kind if values.ndim > 1 else gguf.GGMLQuantizationType.F32
        data = values if store == gguf.GGMLQuantizationType.F32 else gguf.quants.quantize(values, store)
        writer.add_tensor(tensor.name, data, raw_dtype=store)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


plain = arguments.input.parent / f"llama-{arguments.dtype}.gguf"
if not plain.exists():
    partial = plain.with_suffix(".partial")
    plain_copy(partial)
    partial.rename(plain)
prompt = json.loads(arguments.input.read_text())["sequences"][0]
model = llama_cpp.Llama(str(plain), n_ctx=1024, n_threads=arguments.threads, n_threads_batch=arguments.threads,
                        verbose=False)


def once():
    model.reset()
    model.eval(prompt)
    before = rates.processor_seconds()
    begin = time.perf_counter()
    ids = []
    for at in range(arguments.tokens):
        ids.append(model.sample(temp=0.0))
        if at + 1 < arguments.tokens:  # the last one needs no pass
            model.eval([ids[-1]])
    return arguments.tokens - 1, time.perf_counter() - begin, {"ids": [ids]}, rates.processor_seconds() - before


print(json.dumps(rates.measure(arguments, "decode", "llama.cpp", "tokens/s", once)))
