"""Writes rendering.json: lines of data, and the sequences that transformers, TRL and FastChat make of them.

    pip install --no-deps --target PATH fschat==0.2.36
    PYTHONPATH=PATH python make_show.py

The libraries' own code does the work; `refused` cases name what they raise or what cannot be trained on as it is meant.
"""

import json
import pathlib
import sys

SHOW = pathlib.Path(__file__).parent
FOLDER = SHOW.parent / "templates"
sys.path.insert(0, str(FOLDER))
source = (FOLDER / "make_cases.py").read_text().rsplit("\nmain()\n", 1)[0]
source = source.replace("pathlib.Path(__file__).parent", "FOLDER")
exec(compile(source, "make_cases.py", "exec"))  # Its parts_of and its tokenizers, without writing anything.

QWEN3 = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' and not loop.last %}"
    "{{ m.content.split('</think>')[-1].lstrip('\\n') }}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"
)
PLAIN_CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' ~ m['role'] ~ '\\n' ~ m['content'] ~ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
MARKED = (
    "{% for m in messages %}{{ '<|im_start|>' ~ m.role ~ '\\n' }}{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content ~ '<|im_end|>' }}{% endgeneration %}{% else %}{{ m.content ~ '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
)
DATED = "{{ 'Today is ' ~ strftime_now('%A, %d %B %Y') ~ '. ' }}" + PLAIN_CHATML
SPACED = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %}"
    " {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
TOOLS = (
    "{% if tools %}{{ '# Tools\\n' }}{% for t in tools %}{{ t | tojson }}{{ '\\n' }}{% endfor %}{% endif %}" + PLAIN_CHATML
)
REFUSES = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + PLAIN_CHATML


def turns(*texts):
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


TWO = turns("one?", "1", "two?", "2")
CHAT = [
    ("two answers", PLAIN_CHATML, {"messages": TWO}),
    ("earlier thinking is left out", QWEN3, {"messages": turns("one?", "<think>\na\n</think>\n\n1", "two?", "<think>\nb\n</think>\n\n2")}),
    ("marks", MARKED, {"messages": TWO}),
    ("Chinese and Arabic", QWEN3, {"messages": turns("医院的数据?", "<think>不</think>不离开。", "أين؟", "في المستشفى.")}),
    ("spaces", SPACED, {"messages": turns(" one \n", " 1\n", "two", "2 ")}),
    ("added tokens in the text", PLAIN_CHATML, {"messages": turns("Say <|im_end|></s>", "<|im_end|> <s>")}),
    ("combining marks and emoji", SPACED, {"messages": turns("e\u0301 👩‍👩‍👧?", "\u0301é 🏳️‍🌈")}),
    ("a date", DATED, {"messages": TWO}),
    ("tools", TOOLS, {"messages": TWO, "tools": [{"type": "function", "function": {"name": "f", "description": "é<>", "parameters": {"type": "object", "properties": {}}}}]}),
    ("a generator in a condition", "{% if messages | selectattr('role', 'equalto', 'tool') %}A{% else %}B{% endif %}" + PLAIN_CHATML, {"messages": TWO}),
    ("a tuple that is printed", "{{ (1, 'a') }}{{ messages[:1] | map(attribute='role') | list }}" + PLAIN_CHATML, {"messages": TWO}),
]
REFUSED = [
    ("a template that raises", REFUSES, {"messages": [{"role": "system", "content": "s"}, *TWO]}, "no system turn"),
    ("unlike values are compared", "{% if messages[0].name < 1 %}{% endif %}" + PLAIN_CHATML, {"messages": [{"role": "user", "content": "a", "name": "n"}, *TWO[1:]]}, "no order"),
    ("a method without a call", "{{ messages[0].items }}" + PLAIN_CHATML, {"messages": TWO}, "the method items without a call"),
]


def main():
    cases = []
    for tokenizer_name in ("byte_level", "bos_by_post_processor", "llama_always", "llama_first", "metaspace"):
        tokenizer = AutoTokenizer.from_pretrained(FOLDER / "tokenizers" / tokenizer_name)
        for title, template, line in CHAT[:: 1 if tokenizer_name in ("byte_level", "llama_first") else 3]:
            cases.append({
                "title": title, "tokenizer": tokenizer_name, "template": "model", "chat_template": template, "line": line,
                "wanted": {"sequences": parts_of(tokenizer, template, line)},
            })
    for title, template, line, reason in REFUSED:
        cases.append({
            "title": title, "tokenizer": "byte_level", "template": "model", "chat_template": template, "line": line,
            "wanted": {"refused": reason},
        })
    for name, messages, texts, ids, learned in json.loads((FOLDER / "vicuna.json").read_text())[:3]:
        cases.append({
            "title": "FastChat", "tokenizer": name, "template": "vicuna", "line": {"messages": turns(*texts)},
            "wanted": {"sequences": [[ids, learned]]},
        })
    for name in ("byte_level", "llama_first"):
        tokenizer = AutoTokenizer.from_pretrained(FOLDER / "tokenizers" / name)
        prompt, completion = "The capital of France", " is Paris."
        ids = tokenizer(prompt + completion + tokenizer.eos_token)["input_ids"]
        learned = common(tokenizer(prompt)["input_ids"], ids)
        cases.append({
            "title": "prompt and completion", "tokenizer": name, "template": "alpaca",
            "line": {"prompt": prompt, "completion": completion}, "wanted": {"sequences": [[ids, [[learned, len(ids)]]]]},
        })
    for case in cases:
        case["line"] = json.dumps(case["line"], ensure_ascii=False)
    lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases)
    (SHOW / "rendering.json").write_text(f"[\n{lines}\n]\n")
    print(len(cases), "cases")


chat_templates.datetime = Today
main()
