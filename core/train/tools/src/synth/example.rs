//! One instruction with its answer, and its rendering as text.

use serde::{Deserialize, Serialize};

/// An instruction in the Alpaca form; `input` is empty if the instruction needs none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Example {
    /// The task.
    pub instruction: String,
    /// The input of the task, or empty.
    pub input: String,
    /// The full answer.
    pub output: String,
}

/// The fixed parts of the Alpaca template. The shipped tokenizer has one token for each of them,
/// which makes a training example a third shorter; the text is the usual one, so any other
/// tokenizer can encode it too.
pub const TEMPLATE_PARTS: [&str; 5] = [
    "Below is an instruction that describes a task, paired with an input that provides further \
    context. Write a \
     response that appropriately completes the request.\n\n",
    "Below is an instruction that describes a task. Write a response that appropriately \
    completes the \
     request.\n\n",
    "### Instruction:\n",
    "\n\n### Input:\n",
    "\n\n### Response:\n",
];

impl Example {
    /// An example from its three parts.
    pub fn new(
        instruction: impl Into<String>,
        input: impl Into<String>,
        output: impl Into<String>,
    ) -> Self {
        Example { instruction: instruction.into(), input: input.into(), output: output.into() }
    }

    /// The prompt of this example in the Alpaca template, up to where the answer starts.
    pub fn prompt(&self) -> String {
        let [with_input, without_input, instruction, input, response] = TEMPLATE_PARTS;
        if self.input.is_empty() {
            format!("{without_input}{instruction}{}{response}", self.instruction)
        } else {
            format!("{with_input}{instruction}{}{input}{}{response}", self.instruction, self.input)
        }
    }

    /// One line of JSONL, without the line end.
    ///
    /// # Panics
    /// Never: three strings always serialise.
    pub fn to_json_line(&self) -> String {
        serde_json::to_string(self).expect("three strings always serialise")
    }
}
