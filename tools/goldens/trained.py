"""What the Hugging Face implementation computes with the two models that are part of this repository, in f32 on their stored
weights: greedy texts, best next tokens and the loss of a text. Owns models/NAME/golden.json; writes no weights.

llama-tales is a folder as the library reads it. SmolLM2 is a GGUF in parts: its tensors are read with the package gguf, its
queries and keys put back into the order that the library has, and its tokenizer is the library's own reading of the file.
"""

import json

import torch
from gguf import GGUFReader, dequantize
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

TALES_PROMPTS = ("Tell me a story about a fox.", "Write a poem about the sea.", "Tell me a joke about a painter.", "Tell me a bedtime story.")
SMOLLM2_PROMPTS = ("What is the capital of France?", "Write a haiku about the sea.")
WINDOW = 512


def make(repository, folder):
    # any long text would do; this one stays as it is
    text = (repository / "LICENSE").read_text()
    for name, read, prompts, new_tokens in (
        ("llama-tales", read_tales, TALES_PROMPTS, 80),
        ("smollm2-135m-instruct", read_smollm2, SMOLLM2_PROMPTS, 40),
    ):
        model, tokenizer = read(repository / "packages" / name / "model")
        golden = {
            "prompts": [answer(model, tokenizer, prompt, new_tokens) for prompt in prompts],
            "validation": validation(model, tokenizer, text),
        }
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "golden.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")


def read_tales(path):
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    model.generation_config = plainly_until(tokenizer.eos_token_id)
    return model, tokenizer


def plainly_until(eos):
    """Without the penalties that a model's author recommends."""
    return GenerationConfig(eos_token_id=eos, pad_token_id=eos)


def read_smollm2(path):
    parts = sorted(path.glob("*.gguf"))
    readers = [GGUFReader(part) for part in parts]
    field = lambda key: readers[0].fields[f"llama.{key}"].contents()
    heads, kv_heads = field("attention.head_count"), field("attention.head_count_kv")
    state = {}
    for tensor in (tensor for reader in readers for tensor in reader.tensors):
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy()).float()
        name = hugging_face_name(tensor.name)
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            count = heads if "q_proj" in name else kv_heads
            # GGUF has the two halves of a head's rotation interleaved
            values = values.reshape(count, -1, 2, values.shape[-1]).transpose(1, 2).reshape(values.shape)
        state[name] = values
    embedded = state["model.embed_tokens.weight"]
    config = LlamaConfig(
        hidden_size=field("embedding_length"), num_hidden_layers=field("block_count"), intermediate_size=field("feed_forward_length"),
        num_attention_heads=heads, num_key_value_heads=kv_heads, vocab_size=embedded.shape[0],
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"), max_position_embeddings=field("context_length"),
        rope_parameters={"rope_type": "default", "rope_theta": field("rope.freq_base")},
        tie_word_embeddings="lm_head.weight" not in state, attn_implementation="eager",
    )
    model = LlamaForCausalLM(config).float().eval()
    lacking, unknown = model.load_state_dict(state, strict=False)
    assert not unknown and set(lacking) <= {"lm_head.weight"}, (lacking, unknown)
    model.tie_weights()
    tokenizer = AutoTokenizer.from_pretrained(path, gguf_file=parts[0].name)
    tokenizer.chat_template = (path / "chat_template.jinja").read_text()
    model.generation_config = plainly_until(tokenizer.convert_tokens_to_ids("<|im_end|>"))
    return model, tokenizer


def hugging_face_name(name):
    if not name.startswith("blk."):
        return {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}[name.removesuffix(".weight")] + ".weight"
    _, layer, part, _ = name.split(".")
    parts = {
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
        "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    }
    return f"model.layers.{layer}.{parts[part]}.weight"


def answer(model, tokenizer, prompt, new_tokens):
    rendered = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False)
    ids = tokenizer(rendered, add_special_tokens=False).input_ids
    x = torch.tensor([ids])
    with torch.no_grad():
        greedy = model.generate(input_ids=x, attention_mask=torch.ones_like(x), max_new_tokens=new_tokens, do_sample=False)
        best = model(input_ids=x).logits[0, -1].log_softmax(-1).topk(10)
    greedy_ids = greedy[0, len(ids) :].tolist()
    return {
        "user": prompt, "rendered": rendered, "input_ids": ids, "greedy_ids": greedy_ids,
        "greedy_text": tokenizer.decode(greedy_ids, skip_special_tokens=False, clean_up_tokenization_spaces=False),
        "next_top10": [[i, round(value, 5)] for i, value in zip(best.indices.tolist(), best.values.tolist())],
    }


def validation(model, tokenizer, text):
    """Loss of one window, its first id not scored, and how many inputs of each down projection are not zero."""
    ids = tokenizer(text, add_special_tokens=False).input_ids[:WINDOW]
    density = []
    hooks = [
        layer.mlp.down_proj.register_forward_pre_hook(lambda _, args: density.append(round(float((args[0] != 0).double().mean()), 5)))
        for layer in model.model.layers
    ]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0]
    for hook in hooks:
        hook.remove()
    nll = torch.nn.functional.cross_entropy(logits[:-1].double(), torch.tensor(ids[1:]))
    return {"text": "the first ids of LICENSE", "ids": ids, "nll": float(nll), "down_density_per_layer": density}
