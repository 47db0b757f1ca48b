"""The small checkpoints of golden/: which configs, how their random weights are scaled, and what is done to the Hugging
Face model after loading (stage 2 of ReLU Strikes Back, FATReLU, the shift). Owns models; writes nothing.
"""

import zlib

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

WIDTH, FFN, LAYERS, VOCAB, TOKENS = 32, 64, 3, 96, 16

SHAPE = dict(hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=4, vocab_size=VOCAB, max_position_embeddings=64)
GATED = dict(**SHAPE, intermediate_size=FFN, num_key_value_heads=2, tie_word_embeddings=False)
LLAMA = dict(model_type="llama", **GATED, head_dim=8, hidden_act="silu", rms_norm_eps=1e-5)
# rows of OPT's position table that no token uses decay in PyTorch and not here: of more rows they are a smaller part
OPT = dict(
    model_type="opt", **{**SHAPE, "max_position_embeddings": 128}, ffn_dim=FFN, word_embed_proj_dim=WIDTH, activation_function="relu",
    do_layer_norm_before=True, dropout=0.0, tie_word_embeddings=True,
)
FALCON = dict(
    model_type="falcon", **SHAPE, ffn_hidden_size=FFN, activation="gelu", alibi=False, bias=False, multi_query=True,
    new_decoder_architecture=False, parallel_attn=True, tie_word_embeddings=True,
)
FALCON_40B = dict(FALCON, new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=2, multi_query=False)
PARTIAL = {"rope_theta": 10000.0, "rope_type": "default", "partial_rotary_factor": 0.5}

# folder -> config. `zoo/` holds the families beyond OPT, Llama and Falcon
CASES = {
    "llama-silu": LLAMA,
    "llama-relu": dict(LLAMA, hidden_act="relu"),
    "llama-relu2": dict(LLAMA, hidden_act="relu2"),
    "llama-fatrelu": dict(LLAMA, hidden_act="relu"),
    "llama-shifted-relu": dict(LLAMA, hidden_act="relu"),
    "llama-relu-stage2": dict(LLAMA, hidden_act="relu"),
    "llama-headdim-biases": dict(LLAMA, hidden_act="relu", head_dim=12, attention_bias=True, mlp_bias=True),
    "llama-mha-tied-bf16-sharded": dict(LLAMA, hidden_act="relu", num_key_value_heads=4, tie_word_embeddings=True),
    "llama-bin-sharded-bf16": dict(LLAMA, hidden_act="relu", tie_word_embeddings=True),
    "llama-rope-llama3": dict(
        LLAMA,
        rope_parameters={
            "rope_theta": 500000.0, "rope_type": "llama3", "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 16,
        },
    ),
    "opt-pre-norm": OPT,
    "opt-gelu-untied": dict(OPT, activation_function="gelu", tie_word_embeddings=False),
    "opt-post-norm-projected": dict(OPT, do_layer_norm_before=False, word_embed_proj_dim=16),
    "opt-relu-stage2": OPT,
    "opt-f16": OPT,
    "opt-bin-bare-names": OPT,
    "falcon-7b-shape": FALCON,
    "falcon-7b-shape-relu": dict(FALCON, activation="relu"),
    "falcon-40b-shape": FALCON_40B,
    "falcon-rw-alibi": dict(FALCON, alibi=True, bias=True, multi_query=False, parallel_attn=False),
    "falcon-relu-stage2": dict(FALCON, activation="relu"),
    "zoo/arcee": dict(model_type="arcee", **GATED, head_dim=8, hidden_act="relu2"),
    "zoo/bitnet": dict(model_type="bitnet", **GATED, hidden_act="relu2"),
    "zoo/gpt_neox": dict(model_type="gpt_neox", **SHAPE, intermediate_size=FFN, hidden_act="gelu", tie_word_embeddings=False, rope_parameters=PARTIAL),
    "zoo/jais2": dict(model_type="jais2", **GATED, head_dim=8, hidden_act="relu2"),
    "zoo/mistral": dict(model_type="mistral", **GATED, head_dim=8, sliding_window=8),
    "zoo/nanochat": dict(model_type="nanochat", **GATED, hidden_act="relu2"),
    "zoo/nemotron": dict(model_type="nemotron", **GATED, head_dim=8, hidden_act="relu2", rope_parameters=PARTIAL),
    "zoo/persimmon": dict(model_type="persimmon", **SHAPE, intermediate_size=FFN, hidden_act="relu2", qk_layernorm=True, tie_word_embeddings=False, rope_parameters=PARTIAL),
    "zoo/qwen2": dict(model_type="qwen2", **GATED),
    "zoo/qwen3": dict(model_type="qwen3", **GATED, head_dim=12),
    # the library halves weights and stream every second block, as f16 wants it; the numbers written are those without
    "zoo/rwkv": dict(
        model_type="rwkv", hidden_size=WIDTH, attention_hidden_size=40, intermediate_size=FFN, num_hidden_layers=LAYERS,
        vocab_size=VOCAB, context_length=64, rescale_every=2, tie_word_embeddings=False,
    ),
    "zoo/smollm3": dict(model_type="smollm3", **GATED, no_rope_layers=[1, 1, 1]),
    "zoo/stablelm": dict(model_type="stablelm", **GATED, rope_parameters=PARTIAL),
}

DTYPES = {"llama-mha-tied-bf16-sharded": torch.bfloat16, "llama-bin-sharded-bf16": torch.bfloat16, "opt-f16": torch.float16}
FATRELU_THRESHOLD, SHIFT = 0.3, 0.4

NOTES = {
    "llama-relu-stage2": "stage 2: ReLU after the norms in front of attention and FFN; none after the final norm",
    "opt-relu-stage2": "stage 2: ReLU after the norms in front of attention and FFN; none after the final norm",
    "falcon-relu-stage2": "stage 2: ReLU after the norms in front of attention and FFN; none after the final norm",
    "llama-fatrelu": "FATReLU: x if x > 0.3 else 0; hidden_act fatrelu and hidden_act_param in config.json",
    "llama-shifted-relu": "shifted ReLU: relu(x - 0.4) in the gate",
    "opt-bin-bare-names": "pytorch_model.bin as the original facebook/opt files: names begin at decoder., no lm_head",
    "llama-bin-sharded-bf16": "pytorch_model.bin in shards with an index; one tensor is a transposed view",
}


def seed_of(name):
    return zlib.crc32(name.encode())


def make_model(name):
    """The model of a case in f32, rounded to the type that is stored as `model.to(dtype)` does it, rotary tables too."""
    facts = dict(CASES[name])
    config = CONFIG_MAPPING[facts.pop("model_type")](**facts, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    generator = torch.Generator().manual_seed(seed_of(name))
    for parameter_name, parameter in model.named_parameters():
        scale_parameter(parameter_name, parameter, generator)
    model.tie_weights()
    return model.to(DTYPES.get(name, torch.float32)).float()


def scale_parameter(name, parameter, generator):
    """Random, and scaled so that every part matters: no bias, norm or branch that could be left out unnoticed."""
    noise = torch.randn(parameter.shape, generator=generator)
    with torch.no_grad():
        if "time_mix" in name:
            parameter.copy_(torch.sigmoid(noise))
        elif "time_decay" in name:
            parameter.copy_(noise - 1.5)
        elif parameter.dim() == 2 and "embed" not in name and "wte" not in name:
            parameter.copy_(noise * 1.2 / parameter.shape[1] ** 0.5)
        elif parameter.dim() == 2:
            parameter.copy_(noise * 0.7)
        elif "bias" in name:
            parameter.copy_(noise * 0.2)
        else:
            # Nemotron stores the weights of its norms minus 1
            around = 0.0 if parameter.abs().max() == 0 else 1.0
            parameter.copy_(around + noise * 0.2)


def layers_of(model):
    base = getattr(model, model.base_model_prefix)
    for holder in (base, getattr(base, "decoder", None)):
        for attribute in ("layers", "h", "blocks"):
            if holder is not None and hasattr(holder, attribute):
                return list(getattr(holder, attribute))
    raise ValueError(f"no layers in {type(model).__name__}")


def ffn_of(layer):
    """The FFN's linears: (gate or None, up, down)."""
    mlp = getattr(layer, "mlp", getattr(layer, "feed_forward", layer))
    for gate, up, down in (
        ("gate_proj", "up_proj", "down_proj"), (None, "up_proj", "down_proj"), (None, "fc1", "fc2"),
        (None, "dense_h_to_4h", "dense_4h_to_h"), (None, "key", "value"),
    ):
        if hasattr(mlp, up) and hasattr(mlp, down) and (gate is None or hasattr(mlp, gate)):
            return (getattr(mlp, gate) if gate else None), getattr(mlp, up), getattr(mlp, down)
    raise ValueError(f"no FFN in {type(mlp).__name__}")


BLOCK_NORMS = (
    "input_layernorm", "post_attention_layernorm", "self_attn_layer_norm", "final_layer_norm", "ln_attn", "ln_mlp",
)


def adapt(name, model):
    """Does to the model what NOTES says. The config that is saved says it where there is a key for it."""
    if name.endswith("stage2"):
        for layer in layers_of(model):
            for norm in BLOCK_NORMS:
                if isinstance(getattr(layer, norm, None), torch.nn.Module):
                    getattr(layer, norm).register_forward_hook(lambda _, __, out: torch.relu(out))
    if name == "llama-fatrelu":
        for layer in layers_of(model):
            layer.mlp.act_fn = Rule(lambda x: torch.where(x > FATRELU_THRESHOLD, x, 0.0))
    if name == "llama-shifted-relu":
        for layer in layers_of(model):
            layer.mlp.act_fn = Rule(lambda x: torch.relu(x - SHIFT))


class Rule(torch.nn.Module):
    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def forward(self, x):
        return self.rule(x)


def input_ids(name):
    generator = torch.Generator().manual_seed(seed_of(name) ^ 1)
    return torch.randint(3, VOCAB, (1, TOKENS), generator=generator)
