"""Three training steps as PyTorch takes them: AdamW over every parameter, gradients clipped, masked cross-entropy.
Owns golden/training/; the numbers of the optimiser are those that packages/train/src/testing/golden.ts sets.
"""

import torch
from safetensors.torch import save_file

from checkpoints import VOCAB, make_model, seed_of

CASES = ("llama-silu", "llama-relu", "llama-relu2", "opt-pre-norm", "falcon-7b-shape", "zoo/qwen3")
STEPS, SEQUENCES, LENGTH = 3, 4, 33


def make(folder):
    (folder / "zoo").mkdir(parents=True)
    for name in CASES:
        save_file(train(name), folder / f"{name}.safetensors")


def train(name):
    generator = torch.Generator().manual_seed(seed_of(name) ^ 3)
    batches = torch.randint(3, VOCAB, (STEPS, SEQUENCES, LENGTH), generator=generator)
    mask = torch.rand((STEPS, SEQUENCES, LENGTH), generator=generator) < 0.7
    # in f64: what differs from it is the rounding of who is compared
    model = make_model(name).double()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    tensors, losses, norms = {}, [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        logits = model(batches[step], use_cache=False).logits
        scored = mask[step][:, 1:]
        loss = torch.nn.functional.cross_entropy(logits[:, :-1][scored], batches[step][:, 1:][scored])
        loss.backward()
        if step == 0:
            for parameter_name, parameter in model.named_parameters():
                tensors[f"grad.{parameter_name}"] = parameter.grad.float()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).double())
        losses.append(loss.detach().double())
        optimizer.step()
    for parameter_name, parameter in model.named_parameters():
        tensors[f"after.{parameter_name}"] = parameter.detach().float()
    tensors["batches"] = batches.int()
    tensors["label_mask"] = mask.to(torch.uint8)
    tensors["losses"] = torch.stack(losses)
    tensors["grad_norms"] = torch.stack(norms)
    return {key: value.contiguous() for key, value in tensors.items()}
