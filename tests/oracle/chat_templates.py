"""Renders templates as Hugging Face's transformers does, with jinja2: tests/data/templates.json.

Needs python3-jinja2. The environment is that of transformers' chat_template_utils: immutable sandbox,
trim_blocks, lstrip_blocks, loop controls, {% generation %}, tojson without HTML escapes,
raise_exception and strftime_now (here at a fixed time, in UTC).
"""

import datetime
import json
import pathlib

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

import chat_template_cases as cases

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
NOW = 1764201600 + 45296  # 2025-11-27 12:34:56 UTC


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("through")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    @staticmethod
    def through(caller):
        return caller()


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def strftime_now(form):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(form)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


def rendered(source, variables):
    """The output; an error is {"error": message}."""
    try:
        return {"output": environment().from_string(source).render(**variables)}
    except Exception as e:  # whatever jinja2 or Python say
        return {"error": str(e)}


def main():
    rows = []
    for source in cases.ROWS:
        rows.append({"template": source, **rendered(source, cases.VARIABLES)})
    chats = []
    for name in cases.TEMPLATES:
        source = (DATA / "templates" / (name + ".jinja")).read_text(encoding="utf-8")
        for conversation in cases.CONVERSATIONS:
            for generate in (False, True):
                variables = {"tools": None, "documents": None, **cases.TOKENS, **conversation,
                             "add_generation_prompt": generate}
                result = rendered(source, variables)
                chats.append({"template": name, "variables": variables, **result})
    golden = {"jinja2": jinja2.__version__, "now": NOW, "variables": cases.VARIABLES, "rows": rows,
              "chats": chats}
    lines = json.dumps(golden, ensure_ascii=False, indent=0)
    (DATA / "templates" / "golden.json").write_text(lines + "\n", encoding="utf-8")
    failed = sum("error" in r for r in rows), sum("error" in c for c in chats)
    print(f"{len(rows)} rows ({failed[0]} errors), {len(chats)} chats ({failed[1]} errors)")


if __name__ == "__main__":
    main()
