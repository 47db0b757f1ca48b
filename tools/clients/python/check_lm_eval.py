# lm-evaluation-harness asks a server through `local-completions`, with the server's own tokenizer; scores and every
# log-likelihood are compared with what the harness's `hf` model gave (../shared/golden/lm-eval). No torch is needed.
# `check_lm_eval.py URL SHARED [LIMIT]`, with SmolLM2-135M-Instruct in f32 behind the URL.
import json
import sys
import time

import yaml
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

url, shared = sys.argv[1:3]
limit = int(sys.argv[3]) if len(sys.argv) > 3 else 20
files = {'piqa': 'piqa__validation.jsonl.gz', 'arc_easy': 'ai2_arc__ARC-Easy__validation.jsonl.gz'}
manager = TaskManager()


def task_of(name):
    """The harness's own task, whose documents come from a local file."""
    entry = manager.task_index[name]
    path = entry['yaml_path'] if isinstance(entry, dict) else entry.yaml_path
    with open(path) as file:
        config = yaml.safe_load(file)
    config.pop('tag', None)
    config.update(dataset_path='json', dataset_name=None, training_split=None, test_split=None,
                  validation_split='validation', dataset_kwargs={'data_files': {'validation': f'{shared}/eval/{files[name]}'}})
    return config


arguments = {'base_url': f'{url}/v1/completions', 'model': 'smollm2', 'tokenizer_backend': 'remote', 'num_concurrent': 4,
             'max_retries': 1, 'max_length': 1024}
for name in files:
    start = time.time()
    result = simple_evaluate(model='local-completions', model_args=arguments, tasks=[task_of(name)], limit=limit,
                             bootstrap_iters=0, log_samples=True, batch_size=1)
    with open(f'{shared}/golden/lm-eval/{name}.json') as file:
        golden = {item['doc_id']: item for item in json.load(file)['items']}
    (samples,) = result['samples'].values()
    furthest = 0
    for sample in samples:
        expected = golden[sample['doc_id']]
        if (sample['acc'], sample['acc_norm']) != (expected['acc'], expected['acc_norm']):
            raise AssertionError(f'{name} {sample["doc_id"]}: another score')
        for (logprob, is_greedy), request in zip([response[0] for response in sample['resps']], expected['requests']):
            furthest = max(furthest, abs(float(logprob) - request['loglikelihood']))
            if bool(is_greedy) != request['is_greedy'] and str(is_greedy) != str(request['is_greedy']):
                raise AssertionError(f'{name} {sample["doc_id"]}: greedy is {is_greedy}')
    if furthest > 2e-3:
        raise AssertionError(f'{name}: a log-likelihood differs by {furthest}')
    (scores,) = result['results'].values()
    print(f'{name}: {len(samples)} documents, acc {scores["acc,none"]:.4f}, acc_norm {scores["acc_norm,none"]:.4f}, as hf; '
          f'log-likelihoods at most {furthest:.1e} away; {time.time() - start:.0f} s')
