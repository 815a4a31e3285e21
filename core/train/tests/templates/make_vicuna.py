"""What FastChat trains on, for the template `vicuna`: token ids and the ranges that carry a loss.

    pip install --no-deps --target FOLDER fschat==0.2.36
    PYTHONPATH=FOLDER python make_vicuna.py        writes vicuna.json, which is committed

FastChat's own `preprocess` does the work. Where its check of the lengths fails, it trains on nothing
of a conversation and prints a warning; such a case has no ranges.
"""

import json
import pathlib

from fastchat.train import train
from transformers import AutoTokenizer

from conversations import CONVERSATIONS

HERE = pathlib.Path(__file__).parent
TOKENIZERS = ["llama_always", "llama_first"]


def is_plain(messages):
    """Questions and answers in turn, as texts, which is all that FastChat reads."""
    roles = [message["role"] for message in messages]
    wanted = ["user", "assistant"] * (len(roles) // 2)
    texts = [message.get("content") for message in messages]
    return (
        roles == wanted
        and all(set(message) == {"role", "content"} for message in messages)
        and all(isinstance(text, str) and "</s>" not in text for text in texts)
    )


def ranges(labels):
    found, start = [], None
    for at, label in enumerate([*labels, -100]):
        if label != -100 and start is None:
            start = at
        elif label == -100 and start is not None:
            found.append([start, at])
            start = None
    return found


def main():
    names = {"user": "human", "assistant": "gpt"}
    cases = []
    for tokenizer_name in TOKENIZERS:
        tokenizer = AutoTokenizer.from_pretrained(HERE / "tokenizers" / tokenizer_name)
        tokenizer.pad_token = tokenizer.unk_token
        tokenizer.model_max_length, tokenizer.padding_side = 2048, "right"
        for name, conversation in CONVERSATIONS.items():
            messages = conversation["messages"]
            if not is_plain(messages) or "chat_template_kwargs" in conversation or "tools" in conversation:
                continue
            source = [{"from": names[m["role"]], "value": m["content"]} for m in messages]
            result = train.preprocess([source], tokenizer)
            length = int(result["attention_mask"][0].sum())
            ids = result["input_ids"][0][:length].tolist()
            learned = ranges(result["labels"][0][:length].tolist())
            texts = [m["content"] for m in messages]
            cases.append(json.dumps([tokenizer_name, name, texts, ids, learned]))
    (HERE / "vicuna.json").write_text("[\n  " + ",\n  ".join(cases) + "\n]\n")
    print(len(cases), "cases,", sum(not json.loads(case)[4] for case in cases), "without ranges")


if __name__ == "__main__":
    main()
