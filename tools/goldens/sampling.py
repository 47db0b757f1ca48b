"""What the logits processors of transformers make of logits: sampling.json. Owns nothing else."""

import torch
from transformers import (
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

FILTERS = {
    "topK5": TopKLogitsWarper(5),
    "topP90": TopPLogitsWarper(0.9),
    "topP50": TopPLogitsWarper(0.5),
    "minP5": MinPLogitsWarper(0.05),
    "typical80": TypicalLogitsWarper(0.8),
    "repetitionPenalty13": RepetitionPenaltyLogitsProcessor(1.3),
    "temperature07": TemperatureLogitsWarper(0.7),
    "noRepeatNgram2": NoRepeatNGramLogitsProcessor(2),
}


def cases(count=6, vocab=40):
    generator = torch.Generator().manual_seed(11)
    result = []
    for _ in range(count):
        logits = torch.round(torch.randn(vocab, generator=generator) * 1.5 * 1e6) / 1e6
        previous = torch.randint(0, vocab, (12,), generator=generator)
        previous[7] = previous[3]
        previous[-1] = previous[2]  # so that no-repeat-ngram has something to forbid
        case = {"logits": numbers(logits), "previous": previous.tolist()}
        for name, filter_ in FILTERS.items():
            case[name] = numbers(filter_(previous[None], logits.clone()[None])[0])
        result.append(case)
    return result


def numbers(values):
    return [None if value == float("-inf") else round(value, 6) for value in values.tolist()]
