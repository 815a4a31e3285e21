"""What transformers makes of conversations: token ids and masks for every tokenizer, template and conversation.

    python make_cases.py                      writes tokenizers/ and cases.json, which are committed
    python make_cases.py --trl OUT.json       the same conversations with the templates of the trl package
    python make_cases.py --templates OUT.json PATH...
                                              the same with each *.jinja in these folders and archives (.tar.gz, .whl)

Tokenizers are trained here on a few sentences. Versions: versions.txt.
"""

import datetime
import itertools
import json
import logging
import os
import pathlib
import re
import sys
import tarfile
import zipfile

import transformers.utils.chat_template_utils as chat_templates
from tokenizers import (
    AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers,
)
from transformers import AutoTokenizer

from conversations import CONVERSATIONS, PLAIN
from own_templates import TEMPLATES

HERE = pathlib.Path(__file__).parent
TEXTS = [
    "The quick brown fox jumps over the lazy dog. What is the capital of France? It is Paris, I think.",
    "user assistant system tool developer messages content role name arguments function result",
    "Die Daten verlassen das Krankenhaus nicht; sie bleiben dort, wo sie entstanden sind.",
    "医院的数据不离开医院。 データは病院を離れません。 데이터는 병원을 떠나지 않습니다.",
    "البيانات لا تغادر المستشفى. הנתונים אינם עוזבים את בית החולים.",
    "Naïve café: déjà vu, Zürich, e\u0301 combined, 👩‍👩‍👧 family and 🏳️‍🌈 flag 😀.",
    '{"name": "weather", "arguments": {"city": "Zürich", "days": 3}}\n\n<think>\nno\n</think>\n\n',
] * 20
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
COMMENT = re.compile("{#.*?#}", re.DOTALL)
CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 16,
    "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "max_position_embeddings": 512, "bos_token_id": 1, "eos_token_id": 2,
    "tie_word_embeddings": True,
}
GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Today(datetime.datetime):
    """The day that templates see here and in the program."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


def trained(model, trainer, normalizer=None, pre=None, post=None, decoder=None):
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre:
        tokenizer.pre_tokenizer = pre
    if post:
        tokenizer.post_processor = post
    if decoder:
        tokenizer.decoder = decoder
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def byte_level_trainer():
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return trainers.BpeTrainer(
        vocab_size=480, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )


def pieces_trainer():
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    return trainers.BpeTrainer(
        vocab_size=640, special_tokens=SPECIAL + bytes_, show_progress=False
    )


def without_byte_tokens(tokenizer):
    """Byte pieces are not added tokens in SentencePiece's files."""
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = [t for t in file["added_tokens"] if not t["content"].startswith("<0x")]
    file["model"].update(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    return Tokenizer.from_str(json.dumps(file))


def begins_with_bos():
    return processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B:1", special_tokens=[("<s>", 1)]
    )


def tokenizers():
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    yield "byte_level", trained(
        models.BPE(), byte_level_trainer(), pre=byte_level,
        post=processors.ByteLevel(trim_offsets=True), decoder=decoders.ByteLevel(),
    ), {}, {}
    split = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(GPT4), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    yield "bos_by_post_processor", trained(
        models.BPE(ignore_merges=True), byte_level_trainer(), pre=split,
        post=processors.Sequence([processors.ByteLevel(trim_offsets=True), begins_with_bos()]),
        decoder=decoders.ByteLevel(),
    ), {}, {}
    yield "qwen2", trained(
        models.BPE(), byte_level_trainer(), normalizer=normalizers.NFC(),
        pre=pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(GPT4.replace("{1,3}", "")), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]),
        post=processors.ByteLevel(trim_offsets=False), decoder=decoders.ByteLevel(),
    ), {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "bos_token": None,
        "pad_token": "<unk>", "unk_token": "<unk>"}, \
        {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}
    prepend = without_byte_tokens(trained(
        models.BPE(fuse_unk=True), pieces_trainer(),
        normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
    ))
    prepend.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ])
    prepend.post_processor = begins_with_bos()
    yield "prepend", prepend, {"add_bos_token": True}, {}
    llama = {"tokenizer_class": "LlamaTokenizer"}
    yield "llama_first", prepend, {**llama, "legacy": False}, {}
    yield "llama_always", prepend, {**llama, "legacy": True, "add_bos_token": True}, {}
    yield "llama_never", prepend, {**llama, "add_prefix_space": False, "add_eos_token": False}, {}
    yield "llama_class_of_mistral", prepend, {**llama, "legacy": False}, \
        {"model_type": "mistral", "architectures": ["MistralForCausalLM"]}
    yield "gemma_class", prepend, {"tokenizer_class": "GemmaTokenizerFast", "pad_token": "<unk>",
        "mask_token": "<unk>"}, {}
    digits = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    yield "gpt2_class", trained(
        models.BPE(), byte_level_trainer(), pre=digits, decoder=decoders.ByteLevel(),
    ), {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True}, {}
    metaspace = trained(
        models.Unigram(),
        trainers.UnigramTrainer(
            vocab_size=420, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
        ),
        pre=pre_tokenizers.Metaspace(prepend_scheme="first"), decoder=decoders.Metaspace(),
    )
    yield "metaspace", metaspace, {"add_bos_token": False, "eos_token": "<|im_end|>"}, {}


def write_tokenizers():
    for name, tokenizer, settings, config in tokenizers():
        folder = HERE / "tokenizers" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(
            json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
        )
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
            "unk_token": "<unk>", **settings,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
        config = {**CONFIG, "vocab_size": tokenizer.get_vocab_size(), **config}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def runs(mask):
    """Where a mask is set: [first, behind the last], ..."""
    places, at = [], 0
    for value, group in itertools.groupby(mask):
        count = len(list(group))
        if value:
            places.append([at, at + count])
        at += count
    return places


def common(a, b):
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b)))


def parts_of(tokenizer, template, conversation):
    """The sequences that a conversation becomes, each as ids and where it is learned."""
    messages, tools = conversation["messages"], conversation.get("tools")
    values = conversation.get("chat_template_kwargs", {})

    def text(count, prompt):
        if count == 0:
            # apply_chat_template takes no conversation without turns.
            return chat_templates.render_jinja_template(
                conversations=[[]], tools=tools, chat_template=template,
                add_generation_prompt=prompt, **{**tokenizer.special_tokens_map, **values},
            )[0][0]
        return tokenizer.apply_chat_template(
            messages[:count], tools=tools, chat_template=template, tokenize=False,
            add_generation_prompt=prompt, **values,
        )

    def ids(count):
        return tokenizer.apply_chat_template(
            messages[:count], tools=tools, chat_template=template, return_dict=True, **values
        )["input_ids"]

    def first_learned(through, prompt):
        """The first token with text that follows the generation prompt, or differs from it."""
        at = common(through, prompt)
        places = tokenizer(through, add_special_tokens=False, return_offsets_mapping=True)
        return next(i for i, (_, end) in enumerate(places["offset_mapping"]) if end > at)

    tags = COMMENT.sub("", template)
    if "generation %}" in tags or "generation -%}" in tags:
        both = tokenizer.apply_chat_template(
            messages, tools=tools, chat_template=template, return_dict=True,
            return_assistant_tokens_mask=True, **values,
        )
        if 1 not in both["assistant_masks"]:
            raise ValueError("no answer is marked")
        return [[both["input_ids"], runs(both["assistant_masks"])]]
    answers = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
    whole = ids(len(messages))
    learned, in_one = [], all(text(len(messages), False).startswith(text(at + 1, False)) for at in answers)
    parts = []
    for at in answers:
        through = ids(at + 1)
        start = first_learned(text(at + 1, False), text(at, True))
        learned.append([start, len(through)])
        parts.append([through, [[start, len(through)]]])
    if in_one:
        # A token may hold the end of an answer and the beginning of what follows: it is learned, too.
        places = tokenizer(text(len(messages), False), add_special_tokens=False, return_offsets_mapping=True)
        ends = [len(text(at + 1, False)) for at in answers]
        joined = []
        for (start, _), behind in zip(learned, ends):
            # Byte-level tokenizers leave the spaces before a word out of its place.
            before = itertools.accumulate((end for _, end in places["offset_mapping"]), max, initial=0)
            begins = (min(begin, done) for (begin, _), done in zip(places["offset_mapping"], before))
            end = sum(1 for begin in begins if begin < behind)
            if joined and joined[-1][1] == start:
                joined[-1][1] = end
            else:
                joined.append([start, end])
        return [[whole, joined]]
    return parts


def cases(templates, folders, pick):
    for folder in folders:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        for (t, (name, template)), (c, (chat, conversation)) in itertools.product(
            enumerate(templates.items()), enumerate(CONVERSATIONS.items())
        ):
            if not pick(folder.name, t, c):
                continue
            case = {"tokenizer": folder.name, "template": name, "conversation": chat}
            try:
                case["parts"] = parts_of(tokenizer, template, conversation)
            except Exception as error:
                case["refused"] = type(error).__name__
            yield case


def plain(folders):
    for folder in folders:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        for prompt, completion in PLAIN:
            end = "" if completion.endswith(tokenizer.eos_token) else tokenizer.eos_token
            begin = tokenizer(prompt)["input_ids"]
            ids = tokenizer(prompt + completion + end)["input_ids"]
            yield {
                "tokenizer": folder.name, "prompt": prompt, "completion": completion, "ids": ids,
                "learned": common(begin, ids),
            }


def write(path, templates, found, texts):
    lines = [
        '{"templates": ' + json.dumps(templates, ensure_ascii=False) + ",",
        '"conversations": ' + json.dumps(CONVERSATIONS, ensure_ascii=False) + ",",
        '"plain": [' + ",\n".join(json.dumps(t, ensure_ascii=False) for t in texts) + "],",
        '"cases": [' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in found) + "]}",
    ]
    path.write_text("\n".join(lines) + "\n")
    print(f"{path}: {len(found)} cases, {sum('refused' in c for c in found)} refused")


def templates_in(path):
    """Names and texts of the templates in a folder or an archive, without those for images and rankings."""
    if path.is_dir():
        found = [(str(file), file.read_text()) for file in sorted(path.rglob("*.jinja"))]
    elif path.suffix == ".whl":
        archive = zipfile.ZipFile(path)
        names = sorted(name for name in archive.namelist() if name.endswith(".jinja"))
        found = [(name, archive.read(name).decode()) for name in names]
    else:
        archive = tarfile.open(path)
        members = sorted((m for m in archive if m.isfile()), key=lambda member: member.name)
        found = [(m.name, archive.extractfile(m).read().decode()) for m in members if m.name.endswith(".jinja")]
    for name, text in found:
        if not re.search("cicd|rust/src|template/", name):
            yield re.split(r"/|__", name)[-1].removesuffix(".jinja"), text


def further(paths):
    """Templates by name; one text occurs once."""
    templates, seen = {}, set()
    for path in paths:
        for name, text in templates_in(path):
            if text not in seen:
                seen.add(text)
                templates[name if name not in templates else f"{path.name.split('-')[0]} {name}"] = text
    return templates


def main():
    logging.disable(logging.WARNING)
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    chat_templates.datetime = Today
    folder = HERE / "tokenizers"
    if sys.argv[1:2] == ["--trl"]:
        import trl

        files = sorted((pathlib.Path(trl.__file__).parent / "chat_templates").glob("*.jinja"))
        templates = {file.stem: file.read_text() for file in files}
        one = [folder / "byte_level", folder / "llama_first"]
        write(pathlib.Path(sys.argv[2]), templates, list(cases(templates, one, lambda *_: True)), [])
        return
    if sys.argv[1:2] == ["--templates"]:
        templates = further(map(pathlib.Path, sys.argv[3:]))
        one = [folder / "byte_level", folder / "llama_first"]
        write(pathlib.Path(sys.argv[2]), templates, list(cases(templates, one, lambda *_: True)), [])
        return
    write_tokenizers()
    folders = sorted(path for path in folder.iterdir())
    # Every template and conversation with one tokenizer, and a spread of them with the others.
    pick = lambda name, t, c: name == "byte_level" or (t + c + len(name)) % 6 == 0
    write(
        HERE / "cases.json", TEMPLATES, list(cases(TEMPLATES, folders, pick)), list(plain(folders))
    )


main()
