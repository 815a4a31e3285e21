//! Templates: what is rendered and what carries a loss.

use super::*;
use crate::data::{Example, Role, Turn};

fn tokenizer(chat_template: Option<&str>) -> TextTokenizer {
    let json = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [
            {"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
             "normalized": false, "special": true},
            {"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
             "normalized": false, "special": true}],
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "<s>", "vocab": {"<s>": 0, "</s>": 1, "a": 2}},
    });
    let mut tokenizer =
        TextTokenizer::from_bytes(json.to_string().as_bytes(), Some(0), vec![1]).unwrap();
    tokenizer.chat_template = chat_template.map(str::to_owned);
    tokenizer
}

fn conversation() -> Example {
    let turns = [
        (Role::User, "one?"),
        (Role::Assistant, "1"),
        (Role::User, "two?"),
        (Role::Assistant, "2"),
    ];
    Example::Chat(turns.map(|(role, text)| Turn::new(role, text)).to_vec().into())
}

fn parts(segments: &[Segment]) -> Vec<(&str, bool, bool)> {
    segments.iter().map(|s| (s.text.as_str(), s.labelled, s.end)).collect()
}

#[test]
fn chatml_labels_every_answer_with_its_end() {
    let segments = Template::ChatMl.render(&conversation(), &tokenizer(None)).unwrap();
    assert_eq!(
        parts(&segments),
        [
            ("<|im_start|>user\none?<|im_end|>\n<|im_start|>assistant\n", false, false),
            ("1<|im_end|>", true, false),
            ("\n<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\n", false, false),
            ("2<|im_end|>", true, false),
            ("\n", false, false),
        ]
    );
}

#[test]
fn a_models_own_template_agrees_with_the_named_one() {
    let jinja = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + \
                 message['content'].strip() + '<|im_end|>' + '\\n' }}{% endfor %}\
                 {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
    let own = Template::Model.render(&conversation(), &tokenizer(Some(jinja))).unwrap();
    let named = Template::ChatMl.render(&conversation(), &tokenizer(None)).unwrap();
    assert_eq!(parts(&own), parts(&named[..4]));
}

#[test]
fn a_template_with_bos_does_not_double_it() {
    let jinja = "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[Q] {{ m.content }} [A]\
                 {% else %} {{ m.content }} {{ eos_token }}{% endif %}{% endfor %}";
    let tokenizer = tokenizer(Some(jinja));
    let segments = Template::Model.render(&conversation(), &tokenizer).unwrap();
    assert_eq!(parts(&segments)[..2], [("[Q] one? [A]", false, false), (" 1 </s>", true, false)]);
    let sequence = tokenize(&tokenizer, &segments).unwrap();
    assert_eq!(sequence.ids.iter().filter(|id| **id == 1).count(), 2);
    assert_eq!(sequence.ids[0], 0);
}

#[test]
fn a_missing_template_and_a_refusing_one_are_errors() {
    let refuse = "{{ raise_exception('roles must alternate') }}";
    for (template, expected) in [(None, "no chat template"), (Some(refuse), "must alternate")] {
        let error = Template::Model.render(&conversation(), &tokenizer(template)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn alpaca_takes_single_questions_from_chats_and_refuses_longer_ones() {
    let short = Example::Chat(conversation().turns()[..2].to_vec().into());
    let segments = Template::Alpaca.render(&short, &tokenizer(None)).unwrap();
    assert!(segments[0].text.ends_with("### Instruction:\none?\n\n### Response:\n"));
    assert_eq!(parts(&segments)[1], ("1", true, true));
    assert!(Template::Alpaca.render(&conversation(), &tokenizer(None)).is_err());
    let prompt = Template::Alpaca.render_prompt(&short, &tokenizer(None)).unwrap();
    assert_eq!(prompt.len(), 1);
}
