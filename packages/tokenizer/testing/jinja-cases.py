"""Writes jinja-cases.json: templates, and what Python's jinja2 3.1.6 makes of them.

`chat` cases are rendered as transformers 5 sets jinja2 up, `task` cases as lm-evaluation-harness does. An expression
stands for a template that prints it. Run it again after adding cases:

    python3 packages/tokenizer/testing/jinja-cases.py
"""

import json
import pathlib
import re

import jinja2
import jinja2.ext
import jinja2.sandbox

assert jinja2.__version__ == "3.1.6"
FOLDER = pathlib.Path(__file__).parent


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def chat_environment():
    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    class TemplateDict:
        def __call__(self, *args, **kwargs):
            return dict(*args, **kwargs)

        def fromkeys(self, *args, **kwargs):
            return dict.fromkeys(*args, **kwargs)

    class TemplateNamespace(jinja2.utils.Namespace):
        def __init__(*args, **kwargs):
            self, args = args[0], args[1:]
            attrs = dict(*args, **kwargs)
            for name in attrs:
                TemplateNamespace._check_name(name)
            jinja2.utils.Namespace.__init__(self, attrs)

        def __setitem__(self, name, value):
            TemplateNamespace._check_name(name)
            jinja2.utils.Namespace.__setitem__(self, name, value)

        @staticmethod
        def _check_name(name):
            if isinstance(name, str) and name.startswith("_"):
                raise jinja2.exceptions.SecurityError(name)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["dict"] = TemplateDict()
    environment.globals["namespace"] = TemplateNamespace
    return environment


def task_environment():
    environment = jinja2.Environment(
        loader=jinja2.BaseLoader(), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["regex_replace"] = lambda string, pattern, repl, count=0: re.sub(
        pattern, repl, string, count=count
    )
    return environment


def outcome(environment, template, variables):
    try:
        return {"text": environment.from_string(template).render(**variables)}
    except Exception as error:  # every exception of Python's is an error
        return {"error": type(error).__name__}


def main():
    source = json.loads((FOLDER / "jinja-sources.json").read_text("utf-8"))
    environments = {"chat": chat_environment(), "task": task_environment()}
    cases = []
    for kind, environment in environments.items():
        for form in ("expressions", "templates"):
            for text in source[kind][form]:
                template = "{{ " + text + " }}" if form == "expressions" else text
                cases.append({"kind": kind, "template": template, **outcome(environment, template, source["variables"])})
    lines = ",\n".join("  " + json.dumps(case, ensure_ascii=True) for case in cases)
    variables = json.dumps(source["variables"], ensure_ascii=True)
    (FOLDER / "jinja-cases.json").write_text(f'{{"variables": {variables}, "cases": [\n{lines}\n]}}\n', "utf-8")
    errors = sum("error" in case for case in cases)
    print(f"{len(cases)} cases, {errors} of them errors")


main()
