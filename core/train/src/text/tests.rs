//! Templates: what is rendered and what carries a loss.

use super::*;
use crate::data::{Chat, Example, Role, Turn};

/// Splits at spaces; unknown words become `<s>`. `<s>`, `</s>` and ChatML's marks are added tokens.
fn tokenizer(chat_template: Option<&str>) -> TextTokenizer {
    let added = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"];
    let added: Vec<_> = added
        .iter()
        .enumerate()
        .map(|(id, content)| {
            serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let json = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": added, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "<s>", "vocab": {
            "<s>": 0, "</s>": 1, "<|im_start|>": 2, "<|im_end|>": 3, "a": 4}},
    });
    let mut tokenizer =
        TextTokenizer::from_bytes(json.to_string().as_bytes(), Some(0), vec![1]).unwrap();
    tokenizer.chat_template = chat_template.map(str::to_owned);
    tokenizer
}

fn chat(turns: &[(Role, &str)]) -> Example {
    let turns: Vec<Turn> = turns.iter().map(|(role, text)| Turn::new(*role, *text)).collect();
    Example::Chat(turns.into())
}

fn conversation() -> Example {
    chat(&[
        (Role::User, "one?"),
        (Role::Assistant, "1"),
        (Role::User, "two?"),
        (Role::Assistant, "2"),
    ])
}

fn parts(rendered: &Rendered) -> Vec<(String, bool)> {
    rendered.segments().into_iter().map(|s| (s.text, s.labelled)).collect()
}

fn only(template: Template, example: &Example, tokenizer: &TextTokenizer) -> Vec<(String, bool)> {
    let rendered = template.render(example, tokenizer).unwrap();
    assert_eq!(rendered.len(), 1);
    parts(&rendered[0])
}

fn pairs(parts: &[(&str, bool)]) -> Vec<(String, bool)> {
    parts.iter().map(|(text, labelled)| ((*text).to_owned(), *labelled)).collect()
}

#[test]
fn chatml_labels_every_answer_with_its_end() {
    let parts = only(Template::ChatMl, &conversation(), &tokenizer(None));
    assert_eq!(
        parts,
        pairs(&[
            ("<|im_start|>user\none?<|im_end|>\n<|im_start|>assistant\n", false),
            ("1<|im_end|>", true),
            ("\n<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\n", false),
            ("2<|im_end|>", true),
            ("\n", false),
        ])
    );
}

const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + \
    message['content'].strip() + '<|im_end|>' + '\\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

#[test]
fn a_models_own_template_labels_what_follows_the_generation_prompt() {
    let parts = only(Template::Model, &conversation(), &tokenizer(Some(CHATML)));
    assert_eq!(
        parts,
        pairs(&[
            ("<|im_start|>user\none?<|im_end|>\n<|im_start|>assistant\n", false),
            ("1<|im_end|>\n", true),
            ("<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\n", false),
            ("2<|im_end|>\n", true),
        ])
    );
}

#[test]
fn a_template_writes_its_first_token_itself_and_others_get_the_tokenizers() {
    let jinja = "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[Q] {{ m.content }} [A]\
                 {% else %} {{ m.content }} {{ eos_token }}{% endif %}{% endfor %}";
    let tokenizer = tokenizer(Some(jinja));
    let rendered = Template::Model.render(&conversation(), &tokenizer).unwrap();
    let expected = [("<s>[Q] one? [A]", false), (" 1 </s>", true)];
    assert_eq!(parts(&rendered[0])[..2], pairs(&expected));
    let one = Template::Model.tokenize(&conversation(), &tokenizer, 99).unwrap().remove(0);
    let ids = &one.sequence.ids;
    assert_eq!((ids[0], ids.iter().filter(|id| **id == 1).count()), (0, 2));
    // No BOS token is added where the template writes none: transformers encodes rendered text as
    // it is.
    let bare = self::tokenizer(Some(&jinja.replace("{{ bos_token }}", "a")));
    let one = Template::Model.tokenize(&conversation(), &bare, 99).unwrap().remove(0);
    assert_eq!(one.sequence.ids[0], 4);
    let plain = Example::Completion { prompt: "a".into(), completion: "a".into() };
    let one = Template::Model.tokenize(&plain, &bare, 99).unwrap().remove(0);
    // "aa" is one token, of whose text only a part is learned.
    assert_eq!(one.sequence.ids, [0, 0, 1]);
    assert_eq!(one.sequence.labels, [false, true, true]);
}

#[test]
fn a_template_that_rewrites_history_gives_one_part_for_each_answer() {
    let jinja = "{% for m in messages %}{% if m.role == 'user' %}Q {{ m.content }}\n{% else %}A \
                 {% if loop.last %}think {% endif %}{{ m.content }}\n{% endif %}{% endfor %}\
                 {% if add_generation_prompt %}A {% endif %}";
    let tokenizer = tokenizer(Some(jinja));
    let rendered = Template::Model.render(&conversation(), &tokenizer).unwrap();
    let all: Vec<_> = rendered.iter().map(|r| (parts(r), r.turns)).collect();
    let first = pairs(&[("Q one?\nA ", false), ("think 1\n", true)]);
    let second = pairs(&[("Q one?\nA 1\nQ two?\nA ", false), ("think 2\n", true)]);
    assert_eq!(all, [(first, 2), (second, 4)]);
    // An answer that is not learned gives no part, and a question in Chinese causes no panic.
    let Example::Chat(Chat { mut turns, .. }) = conversation() else { unreachable!() };
    turns[1].trained = false;
    turns[2].text = Some("医院的数据不离开医院".to_owned());
    let rendered = Template::Model.render(&Example::Chat(turns.into()), &tokenizer).unwrap();
    assert_eq!(rendered.len(), 1);
    assert_eq!(parts(&rendered[0])[0].0, "Q one?\nA 1\nQ 医院的数据不离开医院\nA ");
}

#[test]
fn a_generation_prompt_with_more_than_the_answers_header_is_no_obstacle() {
    let jinja = "{% for m in messages %}{% if m.role == 'user' %}<U>{{ m.content }}{% else %}<A>\
                 {{ m.content.split('</think>')[-1] }}</s>{% endif %}{% endfor %}\
                 {% if add_generation_prompt %}<A><think>\n{% endif %}";
    let parts = only(Template::Model, &conversation(), &tokenizer(Some(jinja)));
    let expected = [("<U>one?<A>", false), ("1</s>", true), ("<U>two?<A>", false), ("2</s>", true)];
    assert_eq!(parts, pairs(&expected));
}

#[test]
fn a_generation_prompt_that_begins_differently_does_not_make_the_question_an_answer() {
    let source = "<s>{% if add_generation_prompt %}a{% endif %}\
                  {% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}\
                  {% if add_generation_prompt %}assistant: {% endif %}";
    let tokenizer = tokenizer(Some(source));
    for turns in [2, 4] {
        let Example::Chat(chat) = conversation() else { unreachable!() };
        let example = Example::Chat(chat.turns[..turns].to_vec().into());
        let error = Template::Model.tokenize(&example, &tokenizer, 100).unwrap_err().to_string();
        assert!(error.contains("after its generation prompt"), "{turns} turns: {error}");
    }
}

#[test]
fn generation_marks_are_the_mask_whatever_the_text_says() {
    let jinja = "{% for m in messages %}{% if m.role == 'user' %}Q {{ m.content }}{% else %}A \
                 {% generation %}{{ m.content }}</s>{% endgeneration %}{% endif %}{% endfor %}";
    let tokenizer = tokenizer(Some(jinja));
    let mut example = chat(&[
        (Role::User, "\u{f0000}\u{f0001}"),
        (Role::Assistant, "\u{f0002}"),
        (Role::User, "b"),
        (Role::Assistant, "c"),
    ]);
    let all = [("Q \u{f0000}\u{f0001}A ", false), ("\u{f0002}</s>", true), ("Q bA ", false)];
    let parts = only(Template::Model, &example, &tokenizer);
    assert_eq!(parts[..3], pairs(&all));
    let Example::Chat(chat) = &mut example else { unreachable!() };
    chat.turns[1].trained = false;
    let parts = only(Template::Model, &example, &tokenizer);
    assert_eq!(parts[1], ("c</s>".to_owned(), true));
    let none = self::tokenizer(Some("{% generation %}{% endgeneration %}A"));
    assert!(Template::Model.render(&example, &none).is_err());
}

#[test]
fn what_a_template_cannot_show_is_an_error() {
    let refuse = "{{ raise_exception('roles must alternate') }}";
    for (template, expected) in [
        (None, "no chat template"),
        (Some(refuse), "must alternate"),
        (Some("{{ messages[0]['content'] }}"), "writes nothing of an answer"),
        (
            Some("{{ messages|length }}{% for m in messages %}{{ m.content }}{% endfor %}"),
            "after its generation prompt",
        ),
    ] {
        let error = Template::Model.render(&conversation(), &tokenizer(template)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let mut without = tokenizer(None);
    without.template_problem = Some("several".to_owned());
    assert_eq!(Template::Model.or_plain(&without), Template::Model);
    assert!(Template::Model.render(&conversation(), &without).is_err());
    let Example::Chat(Chat { mut turns, .. }) = conversation() else { unreachable!() };
    turns[1].reasoning = Some("because".to_owned());
    let thinking = Example::Chat(turns.into());
    for template in [Template::ChatMl, Template::Vicuna] {
        let error = template.render(&thinking, &tokenizer(None)).unwrap_err().to_string();
        assert!(error.contains("no place for reasoning"), "{error}");
    }
}

#[test]
fn a_named_template_needs_its_tokens() {
    let bytes = tokenizer(None).to_json().unwrap().replace("<|im_end|>", "<|other|>");
    let without = TextTokenizer::from_bytes(bytes.as_bytes(), None, vec![1]).unwrap();
    let error = Template::ChatMl.render(&conversation(), &without).unwrap_err().to_string();
    assert!(error.contains("no token <|im_end|>"), "{error}");
    let endless = TextTokenizer::from_bytes(bytes.as_bytes(), None, vec![]).unwrap();
    for template in [Template::Alpaca, Template::Vicuna] {
        let error = template.render(&conversation(), &endless).unwrap_err().to_string();
        assert!(error.contains("names no token that ends"), "{error}");
    }
}

#[test]
fn a_token_without_an_embedding_is_refused() {
    let mut tokenizer = tokenizer(None);
    tokenizer.embedded = Some(3);
    let error = Template::ChatMl.tokenize(&conversation(), &tokenizer, 9).unwrap_err().to_string();
    assert!(error.contains("is beyond the 3 tokens"), "{error}");
}

#[test]
fn alpaca_takes_single_questions_from_chats_and_refuses_longer_ones() {
    let short = chat(&[(Role::User, "one?"), (Role::Assistant, "1")]);
    let segments = only(Template::Alpaca, &short, &tokenizer(None));
    assert!(segments[0].0.ends_with("### Instruction:\none?\n\n### Response:\n"));
    assert_eq!(segments[1], ("1</s>".to_owned(), true));
    assert!(Template::Alpaca.render(&conversation(), &tokenizer(None)).is_err());
    let prompt = Template::Alpaca.render_prompt(&short, &tokenizer(None)).unwrap();
    assert_eq!(prompt.text, segments[0].0);
}

#[test]
fn vicuna_cuts_where_fastchat_does() {
    let segments = only(Template::Vicuna, &conversation(), &tokenizer(None));
    let texts: Vec<_> = segments.iter().map(|(text, _)| text.as_str()).collect();
    assert!(texts[0].ends_with("user's questions. USER: one? ASSISTANT:"));
    assert_eq!(texts[1..], [" 1</s>", "USER: two? ASSISTANT:", " 2</s>"]);
}

#[test]
fn an_answer_ends_where_its_template_ends_it() {
    let stops = |template: Template, jinja: Option<&str>| {
        template.render_prompt(&conversation(), &tokenizer(jinja)).unwrap().stops
    };
    assert_eq!(stops(Template::ChatMl, None), [3]);
    assert_eq!(stops(Template::Model, Some(CHATML)), [3]);
    let marked = CHATML.replacen("{{ '<|im", "{% generation %}{{ '<|im", 1);
    let marked = marked.replacen("{% endfor", "{% endgeneration %}{% endfor", 1);
    assert_eq!(stops(Template::Model, Some(&marked)), [3]);
    let spaced = CHATML.replace("'<|im_end|>'", "' </s>'");
    assert_eq!(stops(Template::Model, Some(&spaced)), [1]);
    // Nothing behind an answer, or no token of its own: the tokenizer's end token alone.
    let plain = "{% for m in messages %}{{ m.content }}\n### {% endfor %}";
    assert!(stops(Template::Model, Some(plain)).is_empty());
    let refuses = "{% if messages[-1].role == 'assistant' %}{{ raise_exception('x') }}{% endif %}";
    assert!(stops(Template::Model, Some(&format!("Q{refuses}"))).is_empty());
    assert!(stops(Template::Vicuna, None).is_empty());
}

#[test]
fn added_tokens_keep_their_numbers_or_are_refused() {
    let bytes = tokenizer(None).to_json().unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&bytes).unwrap();
    let refusal = |file: &serde_json::Value| {
        let read = TextTokenizer::from_bytes(file.to_string().as_bytes(), None, Vec::new());
        read.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(refusal(&file), "");
    // In the vocabulary under another number.
    file["added_tokens"][3]["id"] = 9.into();
    assert!(refusal(&file).contains("\"<|im_end|>\" has the number 9 and would be loaded as 3"));
    // In no vocabulary: the next free number is another one.
    file["added_tokens"][3] = file["added_tokens"][2].clone();
    file["added_tokens"][3]["content"] = "<|new|>".into();
    file["added_tokens"][3]["id"] = 40.into();
    assert!(refusal(&file).contains("\"<|new|>\" has the number 40 and would be loaded as 5"));
    file["added_tokens"][3]["id"] = 5.into();
    assert_eq!(refusal(&file), "");
    // One text with two numbers.
    file["added_tokens"][2] = file["added_tokens"][3].clone();
    file["added_tokens"][2]["id"] = 6.into();
    assert!(refusal(&file).contains("has the number 6"), "{}", refusal(&file));
}

#[test]
fn a_conversation_of_thousands_of_turns_is_refused_before_it_fills_the_memory() {
    let rewrites = "{% for m in messages %}{{ m.role }}: \
                    {% if loop.last and m.role == 'assistant' %}!{% endif %}\
                    {{ m.content }}</s>{% endfor %}\
                    {% if add_generation_prompt %}assistant: {% endif %}";
    let tokenizer = tokenizer(Some(rewrites));
    let of = |turns: usize| -> Vec<Turn> {
        let role = |at: usize| if at.is_multiple_of(2) { Role::User } else { Role::Assistant };
        (0..turns).map(|at| Turn::new(role(at), "a ".repeat(80))).collect()
    };
    let found = Template::Model.tokenize(&Example::Chat(of(400).into()), &tokenizer, 64).unwrap();
    assert_eq!(found.len(), 200);
    let error = Template::Model.tokenize(&Example::Chat(of(5000).into()), &tokenizer, 64);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("5000 turns") && error.contains("split it"), "{error}");
}
