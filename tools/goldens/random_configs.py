"""random_configs.py FOLDER FIRST LAST: checkpoints of random configs of every family, a seed each, and what transformers makes
of them; random-configs.mjs compares. Finds what no chosen case has: heads, biases, scalings, windows and old spellings in
combinations. What the library refuses is left out. Owns which options there are; weights are scaled by checkpoints.py.
"""

import json
import pathlib
import random
import shutil
import sys

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from checkpoints import BLOCK_NORMS, layers_of, scale_parameter

FAMILIES = (
    "llama", "opt", "falcon", "mistral", "qwen2", "qwen3", "gpt_neox", "stablelm", "smollm3", "arcee", "nemotron", "persimmon", "bitnet",
    "jais2", "nanochat", "rwkv",
)
ACTIVATIONS = ("relu", "relu", "relu2", "silu", "gelu", "gelu_new", "gelu_pytorch_tanh")


class Choice(random.Random):
    def likely(self, chance):
        return self.random() < chance

    def rope(self, partial):
        kind = self.choice(("default", "default", "linear", "llama3", "yarn"))
        rope = {"rope_type": kind, "rope_theta": self.choice((1e4, 5e5, 100.0))}
        if kind != "default":
            rope["factor"] = self.choice((2.0, 4.0, 8.0))
        if kind in ("llama3", "yarn"):
            rope["original_max_position_embeddings"] = self.choice((16, 32))
        if kind == "llama3":
            rope.update(high_freq_factor=4.0, low_freq_factor=1.0)
        if kind == "yarn":
            options = {"beta_fast": 16.0, "attention_factor": 1.3, "truncate": False}
            rope.update({key: value for key, value in options.items() if self.likely(0.3)})
            if self.likely(0.3):
                rope.update(mscale=1.0, mscale_all_dim=0.8)
        if partial:
            rope["partial_rotary_factor"] = self.choice((0.25, 0.5, 1.0))
        return rope

    def config(self, family):
        heads, head_dim, layers = self.choice((2, 4, 6)), self.choice((8, 16)), self.choice((1, 2, 3))
        common = {
            "hidden_size": heads * head_dim, "num_hidden_layers": layers, "vocab_size": self.choice((96, 101)),
            "tie_word_embeddings": self.likely(0.5),
        }
        activation, groups = self.choice(ACTIVATIONS), [k for k in (1, 2, 3, heads) if heads % k == 0]
        if family == "rwkv":
            # halving weights is exact but for the epsilons of norms, so these configs do not ask for it
            return {
                **common, "attention_hidden_size": 40, "intermediate_size": 64, "context_length": 64, "rescale_every": 100,
                "layer_norm_epsilon": self.choice((1e-5, 1e-3)),
            }
        common.update(num_attention_heads=heads, max_position_embeddings=64)
        if family == "opt":
            return {
                **common, "ffn_dim": 72, "word_embed_proj_dim": self.choice((common["hidden_size"], 16)), "dropout": 0.0,
                "activation_function": activation, "do_layer_norm_before": self.likely(0.6), "enable_bias": self.likely(0.8),
                "layer_norm_elementwise_affine": self.likely(0.8), "_remove_final_layer_norm": self.likely(0.2),
            }
        if family == "falcon":
            alibi, new = self.likely(0.35), self.likely(0.4)
            return {
                **common, "ffn_hidden_size": 72, "activation": activation, "alibi": alibi, "bias": self.likely(0.4),
                "multi_query": self.likely(0.6), "parallel_attn": self.likely(0.6), "new_decoder_architecture": new,
                **({"num_kv_heads": self.choice(groups), "num_ln_in_parallel_attn": self.choice((None, 1, 2))} if new else {}),
                **({} if alibi else {"rope_parameters": self.rope(False)}),
            }
        partial = family in ("gpt_neox", "stablelm", "nemotron", "persimmon")
        common.update(hidden_act=activation, intermediate_size=self.choice((72, 33)), rope_parameters=self.rope(partial))
        if family == "gpt_neox":
            return {**common, "use_parallel_residual": self.likely(0.5), "attention_bias": self.likely(0.6)}
        if family == "persimmon":
            return {**common, "qk_layernorm": self.likely(0.5)}
        common["num_key_value_heads"] = self.choice(groups)
        options = {
            "llama": {"attention_bias": self.likely(0.4), "mlp_bias": self.likely(0.4), "head_dim": self.choice((8, 12))},
            "mistral": {"sliding_window": self.choice((None, 3, 8)), "head_dim": self.choice((8, 12))},
            "qwen2": {"use_sliding_window": self.likely(0.5), "sliding_window": 4, "max_window_layers": self.choice((0, 1, 2))},
            "qwen3": {"attention_bias": self.likely(0.4), "head_dim": self.choice((8, 12)), "use_sliding_window": self.likely(0.3), "sliding_window": 4},
            "stablelm": {"use_parallel_residual": self.likely(0.5), "qk_layernorm": self.likely(0.5), "use_qkv_bias": self.likely(0.5)},
            "smollm3": {"no_rope_layers": [self.choice((0, 1)) for _ in range(layers)], "attention_bias": self.likely(0.3)},
            "nanochat": {"final_logit_softcapping": self.choice((15.0, 5.0))},
        }
        biases = {"attention_bias": self.likely(0.5), "mlp_bias": self.likely(0.5)}
        return {**common, **options.get(family, biases if family in ("arcee", "nemotron", "jais2") else {})}


def older(config, family):
    """The config as it was written before transformers 5."""
    rope = config.pop("rope_parameters", None)
    if rope is None:
        return
    neox = family == "gpt_neox"
    if "partial_rotary_factor" in rope:
        config["rotary_pct" if neox else "partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    config["rotary_emb_base" if neox else "rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    config["torch_dtype"] = config.pop("dtype")


def logits_of(model, ids):
    with torch.no_grad():
        return model(ids, use_cache=False).logits[0].flatten().tolist()


def make(folder, family, choice, generator):
    config = CONFIG_MAPPING[family](**choice.config(family), bos_token_id=1, eos_token_id=2, pad_token_id=0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    for name, parameter in model.named_parameters():
        scale_parameter(name, parameter, generator)
    model.tie_weights()
    dtype = choice.choice((torch.float32, torch.float32, torch.bfloat16, torch.float16))
    model.to(dtype).save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text())
    if choice.likely(0.4):
        older(saved, family)
        (folder / "config.json").write_text(json.dumps(saved))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids = torch.randint(3, 90, (1, choice.choice((1, 7, 16, 40))), generator=generator)
    found = {"ids": ids[0].tolist(), "logits": logits_of(model, ids)}
    if (saved.get("hidden_act") or saved.get("activation_function") or saved.get("activation")) == "relu":
        hooks = [
            getattr(layer, norm).register_forward_hook(lambda _, __, out: torch.relu(out))
            for layer in layers_of(model) for norm in BLOCK_NORMS if isinstance(getattr(layer, norm, None), torch.nn.Module)
        ]
        found["stage2"] = logits_of(model, ids)
        for hook in hooks:
            hook.remove()
    # rotary tables rounded along with the weights, as a model that was cast has them
    found["rounded"] = logits_of(model.to(dtype).float(), ids)
    (folder / "golden.json").write_text(json.dumps(found))


def main(root, first, last):
    torch.set_num_threads(1)
    for seed in range(first, last):
        choice = Choice(seed)
        family = choice.choice(FAMILIES)
        folder = root / f"{seed:05d}-{family}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            make(folder, family, choice, torch.Generator().manual_seed(seed))
        except Exception as error:  # the library's own limits, of which there are many kinds
            shutil.rmtree(folder)
            print(f"{seed} {family}: transformers refuses: {str(error)[:120]!r}")


main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
