//! Chatting with a model, with and without an adapter.

use std::ops::ControlFlow;
use std::path::PathBuf;

use fedshield_train::adapter::{LoraAdapter, PeftAdapter};
use fedshield_train::data::{Chat as Conversation, Example, Role, Turn};
use fedshield_train::model::BasePrecision;
use fedshield_train::text::Template;
use fedshield_train::{Answer, ComputeDevice, Generation, Sampling, TrainSettings, Trainer, Valid};
use serde::Serialize;

use super::{OfflineError, RenderingChoice, rendering};

/// The settings of a conversation.
#[derive(Debug, Clone)]
pub struct ChatQuestion {
    /// PEFT folder; `None`: the base model alone.
    pub adapter: Option<PathBuf>,
    /// Hugging Face folder or GGUF file.
    pub model: PathBuf,
    /// How questions are rendered.
    pub rendering: RenderingChoice,
    /// System prompt for the whole conversation.
    pub system: Option<String>,
    /// How the base model's matrices are held in memory.
    pub base_precision: BasePrecision,
    /// The device to compute on.
    pub device: ComputeDevice,
    /// Whether each question is also put to the base model alone.
    pub compare: bool,
    /// How answers are sampled.
    pub sampling: Sampling,
}

/// Which model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The base model alone.
    Base,
    /// Base model and adapter.
    Adapted,
}

/// An answer, the model that gave it, and its prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spoken {
    /// The model that answers.
    pub speaker: Speaker,
    /// The text that the model continued: the conversation as its template renders it.
    pub prompt: String,
    /// The generated answer.
    #[serde(flatten)]
    pub answer: Answer,
}

/// A conversation with one or two models, each with a history of its own.
pub struct Chat {
    trainer: Trainer,
    template: Template,
    system: Option<String>,
    sampling: Sampling,
    sides: Vec<Side>,
}

struct Side {
    speaker: Speaker,
    turns: Vec<Turn>,
    generation: Generation,
}

impl Chat {
    /// Reads model and adapter.
    ///
    /// # Errors
    /// A model, adapter or template that cannot be used.
    pub fn open(question: &ChatQuestion) -> Result<Self, OfflineError> {
        let mut model = super::open_model(&question.model)?;
        let folder = question.adapter.as_deref();
        let template = rendering(&question.rendering, folder, &mut model.tokenizer)?;
        let adapter: Option<LoraAdapter> = match &question.adapter {
            Some(folder) => Some(
                PeftAdapter::open(folder)
                    .and_then(|peft| peft.lora(&model.config))
                    .map_err(OfflineError::Adapter)?,
            ),
            None => None,
        };
        let settings = Valid::new(TrainSettings {
            base_precision: question.base_precision,
            device: question.device,
            ..TrainSettings::default()
        })
        .map_err(OfflineError::Model)?;
        let trainer = Trainer::new(model, settings).map_err(OfflineError::Model)?;
        let mut sides = Vec::new();
        if question.compare || adapter.is_none() {
            let generation = trainer.generation(None).map_err(OfflineError::Work)?;
            sides.push(Side { speaker: Speaker::Base, turns: Vec::new(), generation });
        }
        if let Some(adapter) = &adapter {
            let generation = trainer.generation(Some(adapter)).map_err(OfflineError::Work)?;
            sides.push(Side { speaker: Speaker::Adapted, turns: Vec::new(), generation });
        }
        let system = question.system.clone();
        let mut chat = Self { trainer, template, system, sampling: question.sampling, sides };
        chat.restart();
        Ok(chat)
    }

    /// Whether the template renders a conversation of more than one question.
    #[must_use]
    pub fn keeps_turns(&self) -> bool {
        self.template != Template::Alpaca
    }

    /// Clears the history.
    pub fn restart(&mut self) {
        let system = self.system.iter().map(|text| Turn::new(Role::System, text));
        let turns: Vec<Turn> = system.collect();
        self.sides.iter_mut().for_each(|side| side.turns.clone_from(&turns));
    }

    /// Puts the same question to each model, one after the other. `on_begin` is told which model is
    /// next, `on_text` gets each piece of an answer and may end it.
    ///
    /// # Errors
    /// A conversation that the template refuses or that has no tokens.
    pub fn ask(
        &mut self,
        text: &str,
        on_begin: &mut dyn FnMut(Speaker),
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Vec<Spoken>, OfflineError> {
        if !self.keeps_turns() {
            self.restart();
        }
        let mut spoken = Vec::with_capacity(self.sides.len());
        for side in &mut self.sides {
            on_begin(side.speaker);
            let mut turns = side.turns.clone();
            turns.push(Turn::new(Role::User, text));
            // What is asked for is the prompt of an answer: this one is not shown.
            let mut asked = turns.clone();
            asked.push(Turn::new(Role::Assistant, "-"));
            let example = Example::Chat(Conversation::from(asked));
            let prompt = self.template.render_prompt(&example, self.trainer.tokenizer());
            let prompt = prompt.map_err(OfflineError::Work)?;
            let answer = self
                .trainer
                .continue_with(&mut side.generation, &prompt, &self.sampling, on_text)
                .map_err(OfflineError::Work)?;
            turns.push(Turn::new(Role::Assistant, answer.text.as_str()));
            side.turns = turns;
            spoken.push(Spoken { speaker: side.speaker, prompt: prompt.text, answer });
        }
        Ok(spoken)
    }
}
