# What Python's clients are tried with against a server with the bundled model: openai and litellm, chats, streams, errors,
# embeddings, calls. `check.py URL`; prints a line a check and fails at the first that is not met.
import json
import math
import os
import sys

os.environ['LITELLM_LOCAL_MODEL_COST_MAP'] = 'True'  # it would ask the network for prices
import litellm
from openai import BadRequestError, OpenAI

url = sys.argv[1]
question = 'Tell me a story about a fox.'
messages = [{'role': 'user', 'content': question}]
client = OpenAI(base_url=f'{url}/v1', api_key='none', max_retries=0)
asked = {'model': 'llama-tales', 'messages': messages, 'max_tokens': 12, 'temperature': 0}
tool = {'type': 'function', 'function': {'name': 'get_weather', 'description': 'Current weather', 'parameters': {
    'type': 'object', 'properties': {'city': {'type': 'string', 'maxLength': 12}}, 'required': ['city'],
    'additionalProperties': False}}}


def check(what, met):
    if not met:
        raise AssertionError(what)
    print(what)


answer = client.chat.completions.create(**asked)
text = answer.choices[0].message.content
check('openai: a chat', text.startswith('Once upon a time') and answer.usage.completion_tokens == 12)
stream = client.chat.completions.create(**asked, stream=True, logprobs=True, stream_options={'include_usage': True})
parts = [chunk for chunk in stream]
check('openai: a stream', ''.join(c.choices[0].delta.content or '' for c in parts if c.choices) == text)
check('openai: its usage and log-probabilities', parts[-1].usage.completion_tokens == 12 and sum(
    len(c.choices[0].logprobs.content) for c in parts if c.choices and c.choices[0].logprobs) == 12)
completion = client.completions.create(model='llama-tales', prompt=['Once upon a', 'The sun'], max_tokens=0, echo=True, logprobs=1)
check('openai: prompts scored', [choice.text for choice in completion.choices] == ['Once upon a', 'The sun']
      and completion.choices[0].logprobs.token_logprobs[0] is None)
response = client.responses.create(model='llama-tales', input=question, max_output_tokens=12, temperature=0)
check('openai: a response', response.output_text == text)
vectors = client.embeddings.create(model='llama-tales', input=['a fox', 'a dog']).data
check('openai: embeddings', abs(math.hypot(*vectors[0].embedding) - 1) < 1e-5)
try:
    client.chat.completions.create(**{**asked, 'temperature': -1})
    check('openai: an error that names the field', False)
except BadRequestError as error:
    check('openai: an error that names the field', error.param == 'temperature')
called = client.chat.completions.create(**{**asked, 'max_tokens': 200}, tools=[tool], tool_choice='required')
check('openai: a call that is demanded',
      isinstance(json.loads(called.choices[0].message.tool_calls[0].function.arguments)['city'], str))

through = {'model': 'openai/llama-tales', 'api_base': f'{url}/v1', 'api_key': 'none', 'messages': messages,
           'max_tokens': 12, 'temperature': 0}
check('litellm: a chat', litellm.completion(**through).choices[0].message.content == text)
check('litellm: a stream',
      ''.join(part.choices[0].delta.content or '' for part in litellm.completion(**through, stream=True)) == text)
check('litellm: text completion', litellm.text_completion(
    model='text-completion-openai/llama-tales', api_base=f'{url}/v1', api_key='none', prompt='Once upon a', max_tokens=2,
    temperature=0).choices[0].text == ' time,')
check('litellm: embeddings', len(litellm.embedding(
    model='openai/llama-tales', api_base=f'{url}/v1', api_key='none', input=['a'], encoding_format='float').data[0]['embedding']) == 256)
through_ollama = {**through, 'model': 'ollama_chat/llama-tales', 'api_base': url}
check('litellm: through the routes of Ollama', litellm.completion(**through_ollama).choices[0].message.content == text)
