"""The templates, conversations and small cases that chat_templates.py renders."""

VARIABLES = {
    "name": "Ada", "empty": "", "zero": 0, "n": 7, "neg": -7, "pi": 3.25, "yes": True, "no": False,
    "nothing": None, "text": "  Hello, World!\n", "uni": "straße ÉCOLE 日本 🙂", "list": [3, 1, 2],
    "words": ["b", "A", "c", "a"], "nested": {"a": {"b": [1, {"c": "deep"}]}},
    "map": {"b": 2, "a": 1, "C": 3}, "items_key": {"items": 5, "x": "y"},
    "people": [{"name": "Bo", "age": 30, "ok": True}, {"name": "al", "age": 25, "ok": False},
               {"name": "Cy", "age": 30}],
    "lines": "one\ntwo\n\nthree", "quotes": "it's \"q\" \\ \t\u0007é\u00a0", "path": "a.b.c",
    "big": 1e16, "small": 0.00001, "mixed": [1, "x", None, True, 2.5, [1], {"k": "v"}],
}

# Between two cases stands " ¦ " or a line end.
EXPRESSIONS = r"""
1 + 2 ¦ 7 - 10 ¦ 6 * 7 ¦ 7 / 2 ¦ 8 / 2 ¦ 7 // 2 ¦ -7 // 2 ¦ 7 // -2 ¦ 7 % 3 ¦ -7 % 3 ¦ 7 % -3
2 ** 10 ¦ 2 ** -1 ¦ 2 ** 0.5 ¦ 1.5 + 2 ¦ 7.5 // 2 ¦ -7.5 // 2 ¦ 7.5 % 2 ¦ -7.5 % 2 ¦ 1e3 ¦ 1.0
0.1 + 0.2 ¦ 1e16 ¦ 1e-5 ¦ 123456789.123 ¦ 1e22 ¦ 1_000 ¦ 100.0 ¦ -0.0 ¦ 5e-324
1.7976931348623157e308 ¦ 3.0 * 2 ¦ 10 // 3.0 ¦ True + 1 ¦ true ¦ none ¦ None ¦ false ¦ n + zero ¦ -n
+n ¦ - -n ¦ neg * 2 ¦ n ~ neg ¦ "a" ~ 1 ~ none ~ true ~ 1.5 ¦ "a" + "b" ¦ "ab" * 3 ¦ 3 * "ab"
[1] * 2 ¦ [1, 2] + [3] ¦ (1, 2) + (3,) ¦ "a" "b" 'c' ¦ "tab\there" ¦ "\x41\u00e9\U0001F642"
'it\'s' ¦ "back\\slash" ¦ "\101" ¦ "unknown \q" ¦ [] ¦ () ¦ (1,) ¦ (1, 2) ¦ {}
{"a": 1, "b": [1, 2]} ¦ {1: "x", none: 2} ¦ [1, "a", none, true, 2.5]
["it's", 'say "x"', "both ' and \""] ¦ mixed ¦ nested ¦ quotes ¦ [quotes] ¦ [uni]
["\u00ad", "\u200b"] ¦ 1 == 1.0 ¦ 1 == true ¦ "1" == 1 ¦ none == none ¦ [1] == [1] ¦ (1,) == [1]
{"a": 1} == {"a": 1.0} ¦ missing == none ¦ 1 < 2 < 3 ¦ 1 < 3 < 2 ¦ 1 != 2 ¦ 2 >= 2 ¦ "a" < "b"
[1, 2] < [1, 3] ¦ "Z" < "a" ¦ 1 <= 1.5 ¦ not 1 == 2 ¦ 1 in [1, 2] ¦ "el" in "hello"
"x" not in "hello" ¦ "a" in map ¦ 4 in list ¦ 1 in [] ¦ "" in "" ¦ name in ["Ada"] ¦ true and 0
1 and 2 ¦ 0 or "x" ¦ "" or none or 5 ¦ not "" ¦ not missing ¦ 1 if yes else 2 ¦ 1 if no else 2
1 if no ¦ "a" if no else "b" if no else "c" ¦ (1 if no) is defined ¦ yes and not no
n is odd and n > 5 ¦ name[0] ¦ name[-1] ¦ name[1:] ¦ name[:-1] ¦ name[::-1] ¦ name[5:] ¦ uni[3:7]
uni[-1] ¦ uni[::2] ¦ list[0] ¦ list[-1] ¦ list[1:] ¦ list[::-1] ¦ list[10:] ¦ list[-2:]
list[2:0:-1] ¦ words[::2] ¦ (1, 2, 3)[1:] ¦ nested.a.b[1].c ¦ nested["a"]["b"][0]
nested.a["b"][-1]["c"] ¦ list.0 ¦ map.a ¦ map["C"] ¦ map.missing ¦ map["missing"] ¦ list[9]
name[9] ¦ missing ¦ missing is defined ¦ map.x is defined ¦ items_key["items"] ¦ items_key.x
text|trim ¦ text|trim|upper ¦ name|upper ¦ uni|upper ¦ uni|lower ¦ uni|title ¦ uni|capitalize
"hello wORLD-foo (bar)"|title ¦ "hello wORLD's"|capitalize ¦ "  x "|trim ¦ "xxaxx"|trim("x")
name|length ¦ uni|length ¦ list|length ¦ map|count ¦ list|first ¦ list|last ¦ []|first ¦ name|first
name|last ¦ list|join ¦ list|join(", ") ¦ words|join("-") ¦ people|join(", ", attribute="name")
map|join ¦ list|sort ¦ words|sort ¦ words|sort(case_sensitive=true) ¦ list|sort(reverse=true)
people|sort(attribute="age")|map(attribute="name")|join(" ")
people|sort(attribute="age", reverse=true)|map(attribute="name")|join(" ") ¦ list|reverse|list
"abc"|reverse ¦ words|unique|list ¦ words|unique(case_sensitive=true)|list
[1, 1.0, true, 2]|unique|list ¦ list|min ¦ list|max ¦ words|min ¦ words|max
people|max(attribute="age") ¦ list|sum ¦ people|sum(attribute="age") ¦ missing|default("d")
missing|d("d") ¦ empty|default("d") ¦ empty|default("d", true) ¦ none|default("d")
none|default("d", true) ¦ missing|default ¦ missing|default(boolean=true, default_value=3)
map|items|list ¦ map|dictsort ¦ map|dictsort(true) ¦ map|dictsort(by="value")
map|dictsort(reverse=true) ¦ map|list ¦ people|map(attribute="name")|list ¦ words|map("upper")|list
people|map(attribute="ok", default="?")|list ¦ people|selectattr("ok")|list|length
people|selectattr("age", "equalto", 30)|map(attribute="name")|list
people|rejectattr("ok")|map(attribute="name")|list ¦ people|rejectattr("age", "gt", 26)|list
people|selectattr("ok", "defined")|list|length ¦ list|select("odd")|list ¦ list|reject("odd")|list
mixed|select|list ¦ list ¦ nested|tojson ¦ map|tojson ¦ mixed|tojson
quotes|tojson ¦ uni|tojson ¦ uni|tojson(ensure_ascii=true) ¦ nested|tojson(indent=2)
map|tojson(sort_keys=true) ¦ map|tojson(separators=(",", ":")) ¦ []|tojson(indent=2)
[1, [], {}]|tojson(indent=1) ¦ nested|tojson(indent="--") ¦ big|tojson ¦ none|tojson
"<b>&'"|tojson ¦ 1.0|tojson ¦ (1, 2)|tojson ¦ {1: 2, none: 3, true: 4}|tojson ¦ 42|string
[1]|string ¦ none|string ¦ "42"|int ¦ "4.9"|int ¦ "x"|int ¦ "x"|int(7) ¦ 3.9|int ¦ -3.9|int
true|int ¦ " 12 "|int ¦ "ff"|int(base=16) ¦ "1_000"|int ¦ "3.5"|float ¦ "x"|float ¦ "x"|float(1.5)
3|float ¦ "1e3"|float ¦ "inf"|float ¦ 42.55|round ¦ 42.55|round(1) ¦ 2.5|round ¦ 3.5|round
0.125|round(2) ¦ 42.55|round(1, "floor") ¦ 42.45|round(1, "ceil") ¦ 7|round ¦ neg|abs ¦ -2.5|abs
"a-b-a"|replace("a", "x") ¦ "aaaa"|replace("a", "b", 2) ¦ "abc"|replace("", "-")
12|replace("1", "x") ¦ lines|indent ¦ lines|indent(2) ¦ lines|indent(2, true)
lines|indent(2, first=false, blank=true) ¦ lines|indent("> ") ¦ "x"|safe ¦ "hello"|list
42|string|length ¦ pi|string ¦ big ¦ small ¦ [big, small] ¦ name|lower|title ¦ text|trim|length
text.strip() ¦ text.lstrip() ¦ text.rstrip() ¦ "xxaxx".strip("x") ¦ "\nabc\n\n".strip("\n")
"a,b,,c".split(",") ¦ " a  b ".split() ¦ "a,b,c".split(",", 1) ¦ "a,b,c".rsplit(",", 1)
"abc".split("x") ¦ "</think>a</think>b".split("</think>")[-1] ¦ name.startswith("A")
name.endswith("da") ¦ name.startswith(("X", "A")) ¦ name.upper() ¦ name.lower()
"they're bill's".title() ¦ "hELLO".capitalize() ¦ "aXbX".replace("X", "-")
"aXbX".replace("X", "-", 1) ¦ "hello".find("l") ¦ "hello".rfind("l") ¦ "hello".find("z")
uni.find("É") ¦ ", ".join(["a", "b"]) ¦ "a\nb\r\nc".splitlines()
"prefix-x".removeprefix("prefix-") ¦ "x.py".removesuffix(".py") ¦ "banana".count("an")
map.get("a") ¦ map.get("z") ¦ map.get("z", "d") ¦ map.keys()|list ¦ map.values()|list
map.items()|list ¦ list.count(1) ¦ list.index(2) ¦ range(5)|list ¦ range(2, 5)|list
range(10, 0, -3)|list ¦ range(0)|list ¦ dict(a=1, b=2) ¦ dict({"a": 1}, b=2) ¦ namespace(x=1).x
strftime_now("%d %b %Y") ¦ strftime_now("%Y-%m-%d %H:%M:%S") ¦ name is string ¦ n is number
n is integer ¦ pi is float ¦ yes is boolean ¦ yes is true ¦ yes is false ¦ no is false ¦ n is true
nothing is none ¦ nothing is not none ¦ missing is undefined ¦ map is mapping ¦ list is sequence
name is iterable ¦ n is iterable ¦ map is iterable ¦ list is mapping ¦ n is odd ¦ n is even
n is divisibleby 7 ¦ n is divisibleby(3) ¦ n is eq 7 ¦ n is equalto(7) ¦ n is ne 8 ¦ n is gt 3
n is lt(3) ¦ n is ge 7 ¦ n is in [7, 8] ¦ "a" is in "abc" ¦ "abc" is lower ¦ "ABC" is upper
"Abc" is lower ¦ nothing is sameas none ¦ range is callable ¦ name is callable ¦ n is not odd
yes is integer ¦ true is number ¦ 1 if n is defined and n > 3 else 0 ¦ (n is odd) ~ "!"
[1, 2, 3][1] ¦ {"a": 5}.a ¦ {"a": 5}["a"] ¦ ("a", "b")[0] ¦ "abc"[1] ¦ "%" ¦ (list|sort)[0]
name|replace("A", "E")|lower ¦ words|join(", ")|upper ¦ -2 ** 2 ¦ 2 ** 3 ** 2 ¦ -n|abs
n|string ~ "x" ¦ 1 + 2 * 3 - 4 / 2 ¦ "a" ~ "b" * 2 ¦ not yes or yes ¦ 1 + 1 ~ 2 + 2 ¦ [n, neg]|max
list|map("string")|join("+") ¦ 2 == 2 and 3 in list ¦ (1, 2) == (1, 2) ¦ "x" if missing else "y"
missing ~ "z" ¦ [missing] ¦ missing|length ¦ missing|list ¦ missing|join ¦ missing|upper
none|upper ¦ nothing.x is defined ¦ nothing.x ¦ n.x is defined
text is defined and text|trim|length > 3 ¦ map.items is defined
"a\\b" ¦ 1.5e3 ¦ 0.5 ¦ "É"|lower ¦ "ǆ"|title ¦ "ŉ"|lower ¦ " x"|trim
"a" < 1 or true ¦ missing + 1 ¦ missing.x ¦ missing[0] ¦ missing() ¦ none + 1 ¦ 1 + "a" ¦ "a" + 1
[1] + (2,) ¦ 1 / 0 ¦ 1 // 0 ¦ 1 % 0 ¦ 1.0 / 0 ¦ n() ¦ name() ¦ name.foo() ¦ list.append(1)
map.update({}) ¦ map.pop("a") ¦ undefined_filter_input|tojson ¦ missing|tojson ¦ missing|int
range(1000000) ¦ raise_exception("told: " ~ n) ¦ name|nofilter ¦ n is notest ¦ list|sort(foo=1)
name|replace("a") ¦ [1, "a"]|sort ¦ [{}]|sort ¦ name.split("") ¦ name in 5 ¦ 5 in name ¦ none|length
5 ¦ {[]: 1} ¦ "abc"|int ¦ list["x"] ¦ list["x"] is defined ¦ name.x is defined ¦ map[1] is defined
[1,2,3,] ¦ (1) ¦ {"a": 1,} ¦ n if n else
""".strip("\n")

STATEMENTS = [
    "{% for x in list %}{{ x }}{% endfor %}",
    "{% for x in list %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}",
    "{% for x in list %}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{ loop.revindex0 }} {% endfor %}",
    "{% for x in list %}[{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}]{% endfor %}",
    "{% for x in list %}{{ loop.previtem is defined }}{{ loop.cycle('a', 'b') }}{{ loop.depth }}{% endfor %}",
    "{% for x in [] %}x{% else %}none{% endfor %}", "{% for x in missing %}x{% else %}none{% endfor %}",
    "{% for k, v in map.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in map %}{{ k }}{% endfor %}",
    "{% for (a, b) in [(1, 2), (3, 4)] %}{{ a + b }} {% endfor %}", "{% for c in name %}{{ c }}.{% endfor %}",
    "{% for x in list if x > 1 %}{{ loop.index }}:{{ x }} {% endfor %}",
    "{% for x in list if x > 9 %}x{% else %}none above{% endfor %}",
    "{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in [1, 2] %}{% for y in [3, 4] %}{{ x * y }}{{ loop.last }} {% endfor %}{{ loop.index }}{% endfor %}",
    "{% set x = 1 %}{% for i in list %}{% set x = i %}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% for i in list %}{{ x }}{% set x = i %}{{ x }} {% endfor %}",
    "{% set ns = namespace(x=0) %}{% for i in list %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{{ ns.a is defined }}{% set ns.a = [1] %}{{ ns.a }}{{ ns.b }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns['b'] }}", "{% set a, b = 1, 2 %}{{ b }}{{ a }}",
    "{% set a = 1, 2 %}{{ a }}", "{% if yes %}{% set x = 5 %}{% endif %}{{ x }}", "{% if no %}a{% elif zero %}b{% else %}c{% endif %}",
    "{% if no %}a{% elif n %}b{% endif %}", "{% if missing %}a{% endif %}-", "{% if list %}full{% endif %}{% if not [] %}empty{% endif %}",
    "{% set x %}a{{ n }}b{% endset %}{{ x|upper }}", "{% set x | upper | trim %} a{{ name }} {% endset %}[{{ x }}]",
    "{% set x %}{% set y = 3 %}{{ y }}{% endset %}{{ x }}{{ y is defined }}",
    "{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}",
    "{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m() }}{{ m(missing) }}{{ m(none) }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}",
    "{% macro f(k) %}{{ k }}{% if k > 0 %}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro m() %}{{ n }}{% set n = 9 %}{% endmacro %}{{ m() }}{{ n }}", "{% macro m() %}x{% endmacro %}{{ m()|upper ~ m() }}{{ m is callable }}",
    "{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "{% for i in [1] %}{{ loop is defined }}{% endfor %}{{ loop is defined }}",
    "{% raw %}{{ x }}{% endraw %}", "a {%- raw -%}  {{ x }}  {%- endraw -%} b", "  {% raw %}\n {{ x }}\n  {% endraw %}\nb",
    "a{# comment #}b", "a {#- c -#} b", "a\n  {# c #}\nb", "{# {{ x }} {% if %} #}x", "a\n{#- c #}\nb",
    "a\n  {% if yes %}\n  b\n  {% endif %}\nc", "a\n  {%- if yes %}\n  b\n  {%- endif %}\nc",
    "a\n  {% if yes -%}\n  b\n  {% endif -%}\nc", "a\n  {%+ if yes %}\n  b\n  {%+ endif +%}\nc", "  {{ n }}\n  {{ n }}\n",
    "  {{- n -}}  \n x", "{{ n }}\n", "{{ n }}\n\n", "x {% if yes %} y {% endif %} z", "x\t{%- if yes -%}\n\n y \t{%- endif -%}\n z",
    "{% if yes %}\n\n{{ n }}\n{% endif %}\n\nend", "a\r\nb\r{{ n }}\r\n", "{% set x = 1 %}\n{% set y = 2 %}\n{{ x }}{{ y }}",
    "  {% set x = 1 %}  {% set y = 2 %}\n{{ x }}", "{%- for x in list %}\n  - {{ x }}\n{%- endfor %}\n", "{% for x in list %}\n  {{ x }}\n  {% endfor %}\nend",
    "{{ '{{' }}{{ '%}' }}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a': {}} }}", "{ % { { } } #} %}", "{{ \"}}\" }}", "100% {done}",
    "{% generation %}a{{ n }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}", "a\n  {%- generation -%}\n b {% endgeneration %}\nc",
    "{{ [1,\n 2] }}", "{% if name == 'Ada' and (n > 5 or\n no) %}ok{% endif %}", "{% if true %}a{%else%}b{%endif%}",
    "{% for x in list -%}  {{ x }}  {%- endfor %}", "{% set x = namespace(v=[]) %}{% for i in list %}{% set x.v = x.v + [i] %}{% endfor %}{{ x.v }}",
    "{% for p in people|sort(attribute='name') %}{{ p.name }}{% endfor %}", "{% for m in people[::-1] %}{{ loop.index0 }}{{ m.name }}{% endfor %}",
    "{% if %}", "{% endif %}", "{{ }}", "{{ 1", "{% for x list %}{% endfor %}", "{% if yes %}", "{{ 1 + }}", "{{ (1 }}", "{% set 1 = 2 %}", "{# open",
    "{{ 'open }}", "{{ a b }}", "{% unknown %}", "{{ 1 | }}", "{{ n is }}", "{{ n is odd is even }}", "{{ f(a=1, 2) }}", "{{ x.1.y }}", "{{ $ }}",
    "{% set x.y = 1 %}", "{% for a, b in [1] %}{% endfor %}", "{% for a, b in [(1,2,3)] %}{% endfor %}", "{% break %}", "{% include 'x' %}", "{% set true = 1 %}",
    "{% for x in 5 %}{% endfor %}", "{% for x in none %}{% endfor %}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
]


ROWS = ["{{ " + e + " }}" for line in EXPRESSIONS.split("\n") for e in line.split(" ¦ ")] + STATEMENTS

TEMPLATES = ["qwen3", "qwen2_5", "mistral", "smollm2", "llama3_like"]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a place — \"now\"", "parameters": {
        "type": "object", "properties": {"place": {"type": "string", "description": "Ort, z. B. Köln"},
                                         "days": {"type": "integer", "minimum": 1}},
        "required": ["place"]}}}
TIME = {"type": "function", "function": {"name": "now", "description": "time", "parameters": {}}}
CALL = {"id": "abcdef123", "type": "function",
        "function": {"name": "get_weather", "arguments": {"place": "Köln", "days": 2}}}

USER = {"role": "user", "content": "Hello  there\n"}
ANSWER = {"role": "assistant", "content": " Hi! "}
SYSTEM = {"role": "system", "content": "You are terse. 简短。 🙂"}
THOUGHT = {"role": "assistant", "content": "<think>\nhm, so\n</think>\n\nThe answer is 4."}

CONVERSATIONS = [
    {"messages": [USER]},
    {"messages": [SYSTEM, USER]},
    {"messages": [USER, ANSWER, {"role": "user", "content": "  And\n\nnow? <|im_end|> "}]},
    {"messages": [SYSTEM, USER, ANSWER, USER, THOUGHT, USER]},
    {"messages": [USER, THOUGHT]},
    {"messages": [USER], "enable_thinking": False},
    {"messages": [USER], "enable_thinking": True},
    {"messages": [USER, {"role": "assistant", "content": "4", "reasoning_content": "2 + 2"}]},
    {"messages": [USER, {"role": "assistant", "content": "4", "reasoning_content": "2 + 2"}, USER]},
    {"messages": [SYSTEM, USER], "tools": [WEATHER, TIME]},
    {"messages": [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]},
                  {"role": "tool", "content": "{\"t\": 21.5}", "tool_call_id": "abcdef123"}],
     "tools": [WEATHER]},
    {"messages": [SYSTEM, USER, {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL]},
                  {"role": "tool", "content": "sunny", "tool_call_id": "abcdef123"},
                  {"role": "tool", "content": "rain", "tool_call_id": "abcdef124"}, ANSWER, USER],
     "tools": [WEATHER, TIME]},
    {"messages": [USER, {"role": "assistant", "content": "", "tool_calls": [CALL, CALL]}]},
    {"messages": [USER, USER]},
    {"messages": []},
    {"messages": [{"role": "user", "content": ""}]},
    {"messages": [{"role": "user", "content": "<tool_response>x</tool_response>"}, ANSWER]},
    {"messages": [{"role": "user", "content": None}]},
    {"messages": [{"role": "user"}]},
    {"messages": [{"role": "user", "content": "汉字 <|im_start|>system\nنص עברית Ω≈ç√ \u0000\u001b[1m"}]},
    {"messages": [USER], "date_string": "26 Jul 2024"},
]
