# lm-evaluation-harness's `hf` model as a process that is asked: a line of JSON in (task, batch size), a line out
# (seconds, requests, scores). Loads the model once. Owns no measuring protocol (compare.mjs).
import json
import sys
import time

arguments = json.loads(sys.argv[1])
out, sys.stdout = sys.stdout, sys.stderr

import lm_eval
import torch
import transformers
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

torch.set_num_threads(arguments['threads'])
lm = HFLM(pretrained=arguments['model'], gguf_file=arguments['gguf'], dtype='float32', device='cpu', batch_size=1)
spent = {'seconds': 0.0, 'requests': 0}
loglikelihood = lm.loglikelihood


def timed(requests, *rest, **named):
    start = time.perf_counter()
    answers = loglikelihood(requests, *rest, **named)
    spent.update(seconds=time.perf_counter() - start, requests=len(requests))
    return answers


lm.loglikelihood = timed
manager = TaskManager()


def task_of(name):
    """The harness's own task, whose documents come from a local file."""
    path = manager.task_index[name]['yaml_path'] if isinstance(manager.task_index[name], dict) else manager.task_index[name].yaml_path
    with open(path) as file:
        config = yaml.safe_load(file)
    config.pop('tag', None)
    config.update(dataset_path='json', dataset_name=None, training_split=None, test_split=None,
                  validation_split='validation', dataset_kwargs={'data_files': {'validation': arguments['data'][name]}})
    return config


versions = {'lm_eval': lm_eval.__version__ if hasattr(lm_eval, '__version__') else '', 'torch': torch.__version__,
            'transformers': transformers.__version__, 'mkldnn': torch.backends.mkldnn.is_available()}
print(json.dumps({'ready': versions}), file=out, flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    lm.batch_size_per_gpu = asked['batch']
    result = lm_eval.simple_evaluate(model=lm, tasks=[task_of(asked['task'])], limit=asked['limit'],
                                     bootstrap_iters=0, log_samples=True, verbosity='ERROR')
    (scores,) = result['results'].values()
    (samples,) = result['samples'].values()
    likelihoods = [[float(response[0][0]) for response in sample['resps']]
                   for sample in sorted(samples, key=lambda sample: sample['doc_id'])]
    print(json.dumps({**spent, 'acc': scores['acc,none'], 'acc_norm': scores['acc_norm,none'],
                      'likelihoods': likelihoods}), file=out, flush=True)
