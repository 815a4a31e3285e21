//! What rendering a long conversation costs.

use super::*;

/// Each turn on a line; up to an answer, the conversation is a prefix of the whole.
const PREFIXES: &str = "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>\n{% endfor %}\
                        {% if add_generation_prompt %}assistant: {% endif %}";
/// The same, with a mark before the answer that the conversation ends with.
const REWRITES: &str = "{% for m in messages %}{{ m.role }}: \
                        {% if loop.last and m.role == 'assistant' %}!{% endif %}\
                        {{ m.content }}</s>\n{% endfor %}\
                        {% if add_generation_prompt %}assistant: {% endif %}";

/// Bytes of text that are rendered for a conversation of so many turns, and what `run` makes of it.
fn cost<T>(template: &str, turns: usize, run: impl Fn(&Conversation<'_>) -> T) -> (usize, T) {
    let json = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "u", "vocab": {"u": 0}},
    });
    let bytes = json.to_string();
    let mut tokenizer = TextTokenizer::from_bytes(bytes.as_bytes(), None, vec![0]).unwrap();
    tokenizer.chat_template = Some(template.to_owned());
    let role = |at: usize| if at.is_multiple_of(2) { Role::User } else { Role::Assistant };
    let turns: Vec<Turn> = (0..turns).map(|at| Turn::new(role(at), "some words")).collect();
    let example = Example::Chat(turns.into());
    let conversation = Conversation::new(&example, &tokenizer).unwrap();
    let made = run(&conversation);
    (conversation.rendered_bytes.get(), made)
}

fn sequences(conversation: &Conversation<'_>) -> usize {
    conversation.tokenize(256).unwrap().len()
}

fn longest_turns(conversation: &Conversation<'_>) -> usize {
    conversation.longest(256).unwrap().turns
}

#[test]
fn what_is_rendered_grows_with_the_turns_and_not_with_their_square() {
    for turns in [500, 5_000] {
        let (once, made) = cost(PREFIXES, turns, sequences);
        let (twice, _) = cost(PREFIXES, 2 * turns, sequences);
        assert_eq!(made, 1);
        assert!(twice * 10 < once * 21, "{twice} bytes for twice the turns of {once}");
        let (once, longest) = cost(PREFIXES, turns, longest_turns);
        let (twice, _) = cost(PREFIXES, 2 * turns, longest_turns);
        assert_eq!(longest, turns);
        assert!(twice * 10 < once * 21, "{twice} bytes for twice the turns of {once}");
    }
}

#[test]
fn turns_shown_in_two_ways_are_rendered_once_for_each_answer() {
    let text = |turns: usize| cost(PREFIXES, turns, |it| it.text(turns, false).unwrap()).0;
    let (rendered, made) = cost(REWRITES, 200, sequences);
    assert_eq!(made, 100);
    // A conversation up to an answer is rendered whole, and up to the question with the prompt and
    // without.
    let most = |each: usize| (1..=100).map(|answer| each * (text(2 * answer) + 1)).sum::<usize>();
    assert!(rendered <= most(3) + 4 * text(202), "{rendered} bytes of at most {}", most(3));
    let (rendered, turns) = cost(REWRITES, 200, longest_turns);
    assert_eq!(turns, 200);
    assert!(rendered <= most(1) + 4 * text(202), "{rendered} bytes of at most {}", most(1));
}
