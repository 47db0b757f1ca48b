"""Reads what make.mjs has made with the transformers package: `python check.py FOLDER`. See README.md."""

import json
import sys
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()


def largest_difference(folder):
    expected = json.loads((folder / "logits.json").read_text())
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[key]:
            raise AssertionError(f"{key}: {sorted(info[key])}")
    with torch.no_grad():
        logits = model(torch.tensor([expected["ids"]])).logits[0].double()
    ours = torch.tensor(expected["logits"], dtype=torch.float64).reshape(expected["shape"])
    return ((logits - ours).abs().max() / ours.abs().max()).item()


def outcome(folder, loads):
    """Whether it is as it should be, and what it was."""
    try:
        difference = largest_difference(folder)
    except ValueError as error:
        reason = str(error).split(". ")[0].splitlines()[0]
        return not loads and "does not recognize this architecture" in str(error), f"refused: {reason}"
    return loads and difference < 1e-4, f"loads, logits differ by {difference:.1e}"


root = Path(sys.argv[1])
models = json.loads((root / "models.json").read_text())
print(f"transformers {transformers.__version__}, torch {torch.__version__}")
wrong = 0
for model in models:
    right, what = outcome(root / model["folder"], model["loads"])
    wrong += not right
    print(f"{'ok   ' if right else 'WRONG'} {model['folder']:24} {what}")
print(f"{len(models) - wrong} of {len(models)} as they should be")
sys.exit(wrong > 0)
