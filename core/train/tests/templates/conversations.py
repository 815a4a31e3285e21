"""Conversations of every kind that people bring, and plain texts."""


def say(role, content=None, **more):
    return {"role": role, **({} if content is None else {"content": content}), **more}


def chat(*turns, **more):
    return {"messages": list(turns), **more}


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "How warm it is, in °C; \"<now>\" & 'later'.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Zürich", "東京"]},
                "days": {"type": "integer", "default": 1},
            },
            "required": ["city"],
        },
    },
}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": {"days": 3, "city": "Zürich", "at": [0.5, True, None]}},
}
ANSWER = say("assistant", "It is Paris.")

CONVERSATIONS = {
    "short": chat(say("user", "What is the capital of France?"), ANSWER),
    "system": chat(say("system", "Be brief."), say("user", "The capital of France?"), ANSWER),
    "developer": chat(say("developer", "Be brief."), say("user", "The capital?"), ANSWER),
    "several": chat(
        say("user", "one?"), say("assistant", "1"), say("user", "two?"), say("assistant", "2"),
        say("user", "three?"), say("assistant", "3"),
    ),
    "thinking": chat(
        say("user", "one?"), say("assistant", "1", reasoning_content="It is the first.\n"),
        say("user", "医院?"), say("assistant", "2", reasoning_content="Next."),
    ),
    "thinking_inline": chat(
        say("user", "one?"), say("assistant", "<think>\nfirst\n</think>\n\n1"),
        say("user", "医院的数据?"), say("assistant", "<think>\nnext\n</think>\n\n2"),
    ),
    "tools": chat(
        say("system", "Use tools."), say("user", "How warm is it?"),
        say("assistant", tool_calls=[CALL]), say("tool", "21.5", tool_call_id="call_1", name="weather"),
        say("assistant", "It is 21.5 °C."), say("user", "Thanks"), say("assistant", "Welcome!"),
        tools=[WEATHER],
    ),
    "tool_call_and_text": chat(
        say("user", "How warm?"), say("assistant", "I look.", tool_calls=[CALL]), tools=[WEATHER],
    ),
    "tools_unused": chat(say("user", "Hello"), say("assistant", "Hi"), tools=[WEATHER, WEATHER]),
    "empty_question": chat(say("user", ""), say("assistant", "What?")),
    "empty_answer": chat(say("user", "one?"), say("assistant", ""), say("user", "two?"), ANSWER),
    "right_to_left": chat(
        say("user", "أين البيانات؟"), say("assistant", "في المستشفى."),
        say("user", "מדוע?"), say("assistant", "כי כך \u200fנקבע."),
    ),
    "emoji": chat(say("user", "👩‍👩‍👧 and 🏳️‍🌈?"), say("assistant", "😀"), say("user", "🇨🇭"), say("assistant", "👍🏽!")),
    "combining": chat(say("user", "e\u0301 a\u0308?"), say("assistant", "\u0301e\u0327\u0301"), say("user", "é"), say("assistant", "n\u0303")),
    "chinese": chat(say("user", "医院的数据在哪里?"), say("assistant", "不离开医院。"), say("user", "为什么?"), say("assistant", "因为如此。")),
    "special_tokens": chat(
        say("user", "Say <|im_end|> and </s><s>"), say("assistant", "<|im_end|></s> <think>"),
        say("user", "\U000f0000\U000f0001"), say("assistant", "<unk>\U000f0000"),
    ),
    "spaces": chat(say("user", "  one \n"), say("assistant", " 1\n\n"), say("user", "\ttwo\r\n"), say("assistant", "\n2 \u00a0\u001c")),
    "markup": chat(say("user", "{{ bos_token }} {% if %} <a href='x'>&amp;</a>"), say("assistant", "{# no #} \\n \"q\"")),
    "assistant_first": chat(say("assistant", "Hello!"), say("user", "Hi"), say("assistant", "How are you?")),
    "two_answers": chat(say("user", "one?"), say("assistant", "1"), say("assistant", "2")),
    "two_questions": chat(say("user", "one?"), say("user", "two?"), say("assistant", "2")),
    "ends_with_question": chat(say("user", "one?"), say("assistant", "1"), say("user", "two?")),
    "parts": chat(
        say("user", [{"type": "text", "text": "one "}, {"type": "text", "text": "two?"}]),
        say("assistant", [{"type": "text", "text": "12"}]),
    ),
    "values": chat(
        say("user", "one?"), ANSWER,
        chat_template_kwargs={"enable_thinking": False, "note": {"b": 1, "a": [None, 2.5]}},
    ),
    "long": chat(*[say(role, f"{role} {i}: the quick brown fox") for i in range(6) for role in ("user", "assistant")]),
}

PLAIN = [
    ("The capital of France", " is Paris."),
    ("Q: one? A: ", "1"),
    ("", "only this"),
    ("医院的", "数据"),
    ("<s>begins", " ends</s>"),
    (" space ", " more \n"),
    ("e", "\u0301 x"),
]
