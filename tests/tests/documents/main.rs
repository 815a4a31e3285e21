//! The documents name files, tests, commands and one another. All of it must be there.

mod anchors;
mod commands;
mod decisions;
mod index;
mod links;
mod names;
mod pages;
mod words;
