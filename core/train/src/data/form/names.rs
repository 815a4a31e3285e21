//! Names of fields: which are known to be harmless, which belong to data for other tasks, and which
//! have a meaning in some form.

/// Fields that describe the origin of an example and do not affect it.
pub(super) const HARMLESS: &[&str] = &[
    "id",
    "_id",
    "idx",
    "index",
    "uuid",
    "prompt_id",
    "conversation_id",
    "message_id",
    "source",
    "dataset",
    "category",
    "topic",
    "tags",
    "language",
    "lang",
    "url",
    "license",
    "timestamp",
    "created_at",
    "metadata",
    "parallel_tool_calls",
];

/// Fields of data that are made for other tasks than learning answers, and advice.
pub(super) const OTHER_TASKS: &[(&str, &str)] = &[
    ("preferred_output", PREFERENCE),
    ("non_preferred_output", PREFERENCE),
    ("kto_tag", "marks of good and bad answers (KTO) are not trained on: keep the good ones"),
    (
        "completions",
        "several answers, or labels for each step, are not trained on: keep one answer",
    ),
    ("input_ids", "token ids are not read: they belong to one tokenizer. Write the text"),
    ("labels", "labels are not read: write what is to be learned as an answer"),
    ("loss_mask", MASK),
    ("attention_mask", MASK),
    ("assistant_masks", MASK),
    ("completion_mask", MASK),
    ("train_on_input", ON_INPUT),
    ("train_on_inputs", ON_INPUT),
    ("train_on_prompt", ON_INPUT),
    ("choices", CHOICES),
    ("options", CHOICES),
];
/// Words that mark the fields of preference data (`chosen`, `score_rejected`).
pub(super) const PREFERENCE_WORDS: &[&str] = &["chosen", "rejected"];
/// First words of the fields of media (`images`, `audio_path`).
pub(super) const MEDIA_WORDS: &[&str] = &["image", "images", "video", "videos", "audio", "audios"];

const PREFERENCE: &str = "preference data (chosen and rejected answers) are not trained on: write the chosen \
                          answer as `completion`, or name it in `data.map`";
const MEDIA: &str = "images, audio and video are not read";
const MASK: &str = "masks are not read: write what is to be learned as an answer";
const ON_INPUT: &str = "the loss is on answers only; for plain text write `text`";
const CHOICES: &str = "choices are not put into the question: write them into its text";

/// Fields that have a meaning in some form, or in a turn. One that is left over in another form is
/// a reason to refuse the record.
pub(super) const MEANINGFUL: &[&str] = &[
    "answer",
    "answers",
    "chat",
    "chat_template_kwargs",
    "completion",
    "content",
    "context",
    "conversation",
    "conversations",
    "data",
    "function_call",
    "functions",
    "history",
    "input",
    "instruction",
    "messages",
    "output",
    "problem",
    "prompt",
    "query",
    "question",
    "reasoning",
    "reasoning_content",
    "response",
    "role",
    "segments",
    "solution",
    "system",
    "system_prompt",
    "text",
    "thinking",
    "tool_calls",
    "tools",
];

/// Whether a field only describes the origin of its record.
pub(super) fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(&name)
}

/// Whether a field has a meaning in some form.
pub(super) fn has_meaning(name: &str) -> bool {
    MEANINGFUL.contains(&name)
}

/// Advice about a field of data for another task.
pub(super) fn other_task(name: &str) -> Option<&'static str> {
    if let Some((_, what)) = OTHER_TASKS.iter().find(|(other, _)| *other == name) {
        return Some(what);
    }
    if name.split('_').any(|word| PREFERENCE_WORDS.contains(&word)) {
        return Some(PREFERENCE);
    }
    name.split('_').next().is_some_and(|word| MEDIA_WORDS.contains(&word)).then_some(MEDIA)
}
