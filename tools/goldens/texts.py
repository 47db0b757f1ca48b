"""Small tokenizers of the three kinds that matter, and chat templates, with what the Rust tokenizers and jinja2 make of them.

Owns tokenizers/, golden/tokenizers.json and golden/chat-templates.json. The tokenizers are trained on the texts below, so
that every path is there (merges, bytes, digits, contractions, spaces) in some hundred tokens; the templates are our own,
of the kinds that Llama 2 and ChatML are.
"""

import json

import jinja2
import jinja2.sandbox
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

PROSE = """Once upon a time, there was a little fox who lived in the forest. He liked to run, and he didn't like rain.
In 2024 it rained on 112 of 366 days; the fox counted them all: 1, 2, 3, 10, 100 and 3,141.59! "We'll see," said the bear,
"if they've found the ball." The quick brown fox jumps over the lazy dog. naïve café – “quotes” … Übermut, Straße.
function add(a, b) { return a + b; }  // two  spaces\tand a tab\n\n    indented = True
""" * 4

TEXTS = [
    "Hello world", " Hello  world ", "The quick brown fox jumps over the lazy dog.",
    "I'm sure they'll've said it's 3,141.59!", "naïve café – “quotes” … Ünïcödé", "日本語のテキスト と English", "😀 👨‍👩‍👧‍👦 🏳️‍🌈",
    "", " ", "\n", "\t\tindented\r\n", "a" * 50, "1234567890 12 1", "foo_bar(x) -> {y: [1, 2]}", "<s> is not special here",
    "tokens<|end|>between<|end|>", "العربية עברית", "e\u0301 is not é", "\u200bzero\u200dwidth", "MiXeD CaSe's WE'LL",
]

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return finish_byte_level(tokenizer, ["<|end|>"])


def byte_level_split():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer = finish_byte_level(tokenizer, ["<s>", "<|end|>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


def finish_byte_level(tokenizer, special):
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([PROSE], trainer)
    return tokenizer


def byte_fallback():
    """As Llama 2's: spaces are a letter, and what the vocabulary lacks is spelled in bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=480, special_tokens=special + [f"<0x{byte:02X}>" for byte in range(256)], show_progress=False
    )
    tokenizer.train_from_iterator([line.replace(" ", "▁") for line in PROSE.split("\n")], trainer)
    # the bytes are of the vocabulary, and in no text
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] in special]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


TOKENIZERS = {"byte-level": byte_level, "byte-level-split": byte_level_split, "byte-fallback": byte_fallback}

TEMPLATES = {
    "brackets": (
        "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set turns = messages[1:] %}"
        "{% else %}{% set system = none %}{% set turns = messages %}{% endif %}"
        "{% for message in turns %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}"
        "{% if loop.first and system is not none %}{% set text = '<<' ~ system ~ '>>\\n' ~ message['content'] %}"
        "{% else %}{% set text = message['content'] %}{% endif %}"
        "{% if message['role'] == 'user' %}{{ bos_token ~ '[' ~ text.strip() ~ ']' }}"
        "{% else %}{{ ' ' ~ text | trim ~ ' ' ~ eos_token }}{% endif %}{% endfor %}"
    ),
    "turns": (
        "{%- for message in messages -%}\n<|{{ message.role }}|>\n{{ message.content }}{{ eos_token }}\n{%- endfor -%}\n"
        "{%- if add_generation_prompt -%}\n<|assistant|>\n{%- endif -%}"
    ),
    "default-system": (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|system|>You are brief.' }}{% endif %}{{ '<|' + message['role'] + '|>' + message['content'] | trim }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    ),
}

CONVERSATIONS = [
    [("user", "Hi there")],
    [("system", "Be kind."), ("user", "  Hello!  ")],
    [("user", "One"), ("assistant", "Two"), ("user", "Three\nand 'four' \"five\" {{ six }}")],
    [("system", "Ünï 😀"), ("user", "a"), ("assistant", " b "), ("user", "c")],
]


def make(root):
    (root / "golden").mkdir(exist_ok=True)
    golden = {}
    for name, create in TOKENIZERS.items():
        tokenizer = create()
        folder = root / "tokenizers" / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"))
        golden[name] = [one_text(tokenizer, text) for text in TEXTS]
    write(root / "golden" / "tokenizers.json", golden)
    write(root / "golden" / "chat-templates.json", {"templates": TEMPLATES, "cases": list(chats())})


def one_text(tokenizer, text):
    plain = tokenizer.encode(text, add_special_tokens=False).ids
    return {"text": text, "ids": tokenizer.encode(text).ids, "ids_plain": plain, "decoded": tokenizer.decode(plain)}


def chats():
    # as transformers sets it up
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = lambda message: (_ for _ in ()).throw(ValueError(message))
    for name, template in TEMPLATES.items():
        compiled = environment.from_string(template)
        for conversation in CONVERSATIONS:
            messages = [{"role": role, "content": content} for role, content in conversation]
            for prompt in (False, True):
                rest = {"messages": messages, "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>"}
                yield {"template": name, **rest, "rendered": compiled.render(**rest)}


def write(path, content):
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
