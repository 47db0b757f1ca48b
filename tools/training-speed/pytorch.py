"""PyTorch's side: pytorch.py MODEL|fresh:FOLDER IDS BATCH CONTEXT THREADS. A line on stdin is a step; a JSON line answers.

`fresh:FOLDER` draws weights for the config in FOLDER/config.json and writes them there first."""
import json, resource, sys, time
import numpy as np, torch, torch.nn.functional as F
from transformers import AutoConfig, AutoModelForCausalLM

source, ids, batch, context, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
torch.set_num_threads(threads)
torch.manual_seed(1)
if source.startswith('fresh:'):
    folder = source.removeprefix('fresh:')
    config = AutoConfig.from_pretrained(folder)
    config.dtype = torch.float32
    model = AutoModelForCausalLM.from_config(config).float()
    model.save_pretrained(folder)
else:
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
model.train()
tokens = torch.from_numpy(np.fromfile(ids, np.uint16).astype(np.int64))
decayed = [p for p in model.parameters() if p.dim() > 1]
others = [p for p in model.parameters() if p.dim() <= 1]
groups = [{'params': decayed, 'weight_decay': 0.1}, {'params': others, 'weight_decay': 0.0}]
optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), eps=1e-8, fused=True)


def say(**values):
    print(json.dumps(values), flush=True)


def rows(step):
    at = (step * batch * (context + 1)) % (len(tokens) - batch * (context + 1))
    return tokens[at:at + batch * (context + 1)].view(batch, context + 1)


say(description=f'PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {model.config._attn_implementation}')
for step, line in enumerate(sys.stdin):
    x = rows(step)
    began = time.perf_counter()
    logits = model(input_ids=x[:, :-1], use_cache=False).logits
    loss = F.cross_entropy(logits.float().reshape(-1, logits.size(-1)), x[:, 1:].reshape(-1))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - began
    say(seconds=seconds, loss=loss.item(), peakBytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
