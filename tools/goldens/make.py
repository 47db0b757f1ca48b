"""make.py: remakes golden/ and tokenizers/, what the Hugging Face implementation computes on small checkpoints, for a clone that
has nothing beside it. The layout is that of ../shared/golden, so that one test reads either. Needs requirements.txt.

Owns what is written; models are checkpoints.py's, sparsity methods methods.py's, training steps training.py's,
the models of packages/ trained.py's.
"""

import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file

import methods
import sampling
import texts
import trained
import training
from checkpoints import CASES, DTYPES, FATRELU_THRESHOLD, NOTES, adapt, ffn_of, input_ids, layers_of, make_model

GREEDY = 16


def golden_of(model, ids):
    """Logits, hidden states, inputs of the down projections and a greedy continuation, as ../shared/golden has them."""
    downs = []
    handles = [
        ffn_of(layer)[2].register_forward_pre_hook(lambda _, args: downs.append(args[0].detach().reshape(-1, args[0].shape[-1]).clone()))
        for layer in layers_of(model)
    ]
    with torch.no_grad():
        out = model(ids, output_hidden_states=True, use_cache=False)
    for handle in handles:
        handle.remove()
    tensors = {"logits": out.logits[0], "down_input": torch.stack(downs)}
    for k, hidden in enumerate(out.hidden_states):
        # RWKV's are what leaves a block, halved every so often, but for the last, which is normed
        halvings = (k + 1) // model.config.rescale_every if model.config.model_type == "rwkv" and k < len(downs) else 0
        tensors[f"hidden.{k}"] = hidden[0] * 2**halvings
    sequence = ids
    with torch.no_grad():
        for _ in range(GREEDY):
            best = model(sequence, use_cache=False).logits[0, -1].argmax()
            sequence = torch.cat([sequence, best.reshape(1, 1)], 1)
    tensors["input_ids"] = ids[0].int()
    tensors["greedy"] = sequence[0, -GREEDY:].int()
    return {name: tensor.contiguous().clone() for name, tensor in tensors.items()}


def save_checkpoint(name, model, folder):
    """As a user would have it: written by the library, then made older or stranger where the case is about that."""
    stored = DTYPES.get(name, torch.float32)
    small = {"max_shard_size": "30KB"} if name == "llama-mha-tied-bf16-sharded" else {}
    model.to(stored).save_pretrained(folder, **small)
    state = {key: value.contiguous() for key, value in model.state_dict().items() if key != "lm_head.weight"}
    model.float()
    config = json.loads((folder / "config.json").read_text())
    if name == "llama-fatrelu":
        config.update(hidden_act="fatrelu", hidden_act_param=FATRELU_THRESHOLD)
    if name in ("llama-silu", "llama-rope-llama3"):
        # as files were written before transformers 5
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope.pop("rope_theta")
        config["rope_scaling"] = rope if rope.get("rope_type") != "default" else None
        config["torch_dtype"] = config.pop("dtype")
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    if name == "opt-bin-bare-names":
        (folder / "model.safetensors").unlink()
        torch.save({key.removeprefix("model."): value for key, value in state.items()}, folder / "pytorch_model.bin")
    if name == "llama-bin-sharded-bf16":
        (folder / "model.safetensors").unlink()
        turned = "model.layers.0.mlp.up_proj.weight"
        state[turned] = state[turned].t().contiguous().t()
        save_shards(state, folder)


def save_shards(state, folder, count=2):
    names = sorted(state)
    index = {}
    for part in range(count):
        file = f"pytorch_model-{part + 1:05}-of-{count:05}.bin"
        shard = {name: state[name] for name in names[part::count]}
        torch.save(shard, folder / file)
        index.update(dict.fromkeys(shard, file))
    size = sum(value.numel() * value.element_size() for value in state.values())
    content = {"metadata": {"total_size": size}, "weight_map": index}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def main():
    root = pathlib.Path(__file__).resolve().parent / "golden"
    shutil.rmtree(root, ignore_errors=True)
    torch.set_num_threads(1)
    for name in CASES:
        folder = root / name
        folder.mkdir(parents=True)
        model = make_model(name)
        save_checkpoint(name, model, folder)
        adapt(name, model)
        save_file(golden_of(model, input_ids(name)), folder / "golden.safetensors")
    (root / "notes.json").write_text(json.dumps({name: NOTES.get(name, "") for name in CASES}, indent=1) + "\n")
    training.make(root / "training")
    methods.make(root / "methods")
    texts.make(root.parent)
    (root / "sampling.json").write_text(json.dumps(sampling.cases()) + "\n")
    trained.make(root.parents[2], root.parent / "models")
    size = sum(path.stat().st_size for path in root.parent.glob("[gtm]*/**/*") if path.is_file())
    print(f"{len(CASES)} checkpoints, {len(methods.CASES)} methods, {len(training.CASES)} trainings: {size / 1e6:.2f} MB in {root.parent}")


main()
